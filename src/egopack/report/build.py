"""The whole report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from egopack.evaluation.comparison import unit
from egopack.files import atomic_path, read_json
from egopack.report.classes import actions, answers, changes
from egopack.report.clips import timelines
from egopack.report.consulted import prototypes
from egopack.report.moments import moments, precisions
from egopack.report.overview import comparison, curve_tables, curves, data, settings, study
from egopack.report.page import Section, digits, page, table
from egopack.report.results import Folders, Results, TaskResults
from egopack.report.times import anticipation, keyframes

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from egopack.params import Params

TITLE = "Hier-EgoPack: results"


def build(
    results: Results,
    folders: Folders,
    params: Params,
    blocks: Mapping[str, BaseModel],
    plan: Path,
    revision: str,
    last: Sequence[Section] = (),
) -> str:
    """The report of `results`, which lie in `folders`, as HTML. `blocks` are the tasks' params, `plan` is the study's,
    `revision` says of what code and data the results are, `last` is what else it ends with.
    """
    studied = study(folders.metrics / "study.csv", plan)
    sections = [
        Section("comparison", "Comparison", comparison(results)),
        *([] if studied is None else [Section("study", "Study", studied)]),
        Section("curves", "Learning curves", curves(results)),
        *(
            Section(task, found.title, of_task(found, folders.metrics, results))
            for task, found in results.tasks.items()
        ),
        *(
            [Section("prototypes", "Prototypes", prototypes(results, folders, params.prototypes.task))]
            if results.packs
            else []
        ),
        Section("timelines", "Timelines", timelines(results, params.report.clips)),
        Section("data", "Data", data(results)),
        Section("params", "Params", settings(params, blocks)),
        *last,
    ]
    return page(TITLE, revision, sections)


def plotted(results: Results) -> dict[str, dict[str, pd.DataFrame]]:
    """What `dvc plots` draws of the same results: folders, each with tables by their names, which go into one file
    each.
    """
    confusions = {
        f"{task}_{name}": table
        for task, found in results.tasks.items()
        if found.module in ("ar", "oscc")
        for name, table in answers(found).items()
    }
    by_tiou: dict[str, pd.DataFrame] = {}
    by_class: dict[str, pd.DataFrame] = {}
    for task, found in results.tasks.items():
        if found.module == "mq":
            by_tiou[task], classes = precisions(found)
            by_class |= {f"{task}_{regime}": table for regime, table in classes.items()}
    return {
        "curves": curve_tables(results),
        "confusion": confusions,
        "ap_by_tiou": by_tiou,
        "ap_by_class": by_class,
    }


def write_plots(root: Path, results: Results) -> None:
    """Write what is `plotted` as CSV files under `root`; a folder is there without any, too."""
    for name, tables in plotted(results).items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in tables.items():
            with atomic_path(folder / f"{file}.csv") as temporary:
                content.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def of_task(found: TaskResults, metrics: Path, results: Results) -> Markup:
    """What a task's own analysis shows, and all of its metrics."""
    kinds: Mapping[str, Callable[[TaskResults], Markup]] = {
        "ar": actions,
        "oscc": changes,
        "lta": anticipation,
        "pnr": keyframes,
        "mq": moments,
    }
    body = kinds[found.module](found) if found.module in kinds else Markup("")
    inside = all_metrics(found, metrics, results.multi_pack)
    return body + Markup("<details><summary>All metrics of {}</summary>{}</details>").format(found.title, inside)


def all_metrics(found: TaskResults, metrics: Path, pack: str | None) -> Markup:
    """Every metric of a task by regime."""
    scores: dict[str, Mapping[str, Any]] = {"chance": read_json(metrics / "chance" / f"{found.name}.json")}
    for regime in found.predictions:
        multi = regime == "multi"
        read = read_json(metrics / regime / f"{pack if multi else found.name}.json")
        scores[regime] = read[found.name] if multi else read
    rows = [
        [f"{name} {'↑' if unit(name) == '%' else '↓'}", unit(name), *(digits(one.get(name)) for one in scores.values())]
        for name in scores["chance"]
    ]
    return table(["metric", "unit", *scores], rows, f"all metrics of {found.title}")
