"""Show all results on one page."""

from __future__ import annotations

import click

from stages._common import CODE, COSTS, DATED, MANIFEST, PAGE, PARAMS, PLAN, PLOTS, Stage, original, report_folders
from stages._inputs import NUMERICS, Reads, load

READS = Reads(
    (
        *(*NUMERICS, "data.version", "data.features", "data.storage", "data.tolerate", "synthetic", "backbone"),
        *("interaction", "prototypes", "multi", "comparison", "packs", "helped_by", "labelled"),
        *("tasks", "report"),
    ),
    tasks=("all",),
)


@click.command(cls=Stage)
@click.option("--costs", "with_costs", is_flag=True, help="Write data/report.html, with what no two runs share.")
def main(with_costs: bool) -> str:
    """Write data/kept/report.html: one page, which needs no network, with the comparison, learning curves, what each
    task gets wrong, the prototypes consulted, timelines of validation clips, the data and the params; and data/plots,
    what `dvc plots` draws of the same results. `publish` makes metrics/report.html of the page.

    With --costs it says as well what each stage took on this machine, and the commit, and is data/report.html alone:
    these differ from run to run, and git keeps the other.
    """
    params = load(READS)
    from egopack.ego4d.layout import told_of_rendered
    from egopack.ego4d.manifest import rendered
    from egopack.files import atomic_path, digest
    from egopack.report.build import build, write_plots
    from egopack.report.overview import costs
    from egopack.report.page import Section
    from egopack.report.results import read_results
    from egopack.tasks.base import check_task
    from stages._costs import commit

    blocks = {task: check_task(task, block, PARAMS) for task, block in params.tasks.items()}
    revision, last, out = f"Code and params {digest(CODE)}, data {digest(MANIFEST)}.", [], PAGE
    if made := told_of_rendered(rendered(MANIFEST, params.data.features)):
        revision = f"{made} {revision}"
    if with_costs:
        last, out = [Section("costs", "Costs", costs(original(COSTS)))], DATED
        revision += f" Commit {commit()}."
    folders = report_folders()
    results = read_results(folders, params)
    page = build(results, folders, params, blocks, PLAN, revision, last)
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if not with_costs:
        write_plots(PLOTS, results)
    return f"{out}: {len(page.encode()) / 1e6:.1f} MB, {len(params.tasks)} tasks"


if __name__ == "__main__":
    main()
