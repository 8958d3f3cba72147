"""Show all results on one page."""

from __future__ import annotations

import click

from stages._common import (
    CODE,
    CONSULTED,
    MANIFEST,
    METRICS,
    PARAMS,
    PLAN,
    PREDICTIONS,
    PROTOTYPES,
    REPORT,
    SAMPLES,
    Stage,
)
from stages._inputs import NUMERICS, Reads, load

READS = Reads(
    (
        *(*NUMERICS, "data.version", "data.features", "data.storage", "synthetic", "backbone", "interaction"),
        *("prototypes", "multi", "comparison", "packs", "helped_by", "tasks", "report"),
    ),
    tasks=("all",),
)


@click.command(cls=Stage)
def main() -> None:
    """Write metrics/report.html: one page, which needs no network, with the comparison, learning curves, what each task
    gets wrong, timelines of validation clips, the data and the params.
    """
    params = load(READS)
    from egopack.files import atomic_path, digest
    from egopack.report.build import build
    from egopack.report.results import Folders
    from egopack.tasks.base import check_task

    blocks = {task: check_task(task, block, PARAMS) for task, block in params.tasks.items()}
    folders = Folders(SAMPLES, PREDICTIONS, CONSULTED, PROTOTYPES, METRICS)
    revision = f"Code and params {digest(CODE)}, data {digest(MANIFEST)}."
    page = build(folders, params, blocks, PLAN, revision)
    with atomic_path(REPORT) as temporary:
        temporary.write_text(page, encoding="utf-8")
    click.echo(f"{REPORT}: {len(page.encode()) / 1e6:.1f} MB, {len(params.tasks)} tasks")


if __name__ == "__main__":
    main()
