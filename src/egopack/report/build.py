"""The whole report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from egopack.evaluation.comparison import unit
from egopack.files import read_json
from egopack.report.classes import actions, changes
from egopack.report.clips import timelines
from egopack.report.consulted import prototypes
from egopack.report.moments import moments
from egopack.report.overview import comparison, curves, data, settings, study
from egopack.report.page import Section, page
from egopack.report.results import Folders, Results, TaskResults, read_results
from egopack.report.tables import digits, table
from egopack.report.times import anticipation, keyframes

if TYPE_CHECKING:
    from pydantic import BaseModel

    from egopack.params import Params

TITLE = "Hier-EgoPack: results"


def build(
    folders: Folders,
    params: Params,
    blocks: Mapping[str, BaseModel],
    plan: Path,
    revision: str,
    last: Sequence[Section] = (),
) -> str:
    """The report as HTML. `blocks` are the tasks' params, `plan` is the study's, `revision` says of what code and data
    the results are, `last` is what else it ends with.
    """
    results = read_results(folders, params)
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


def of_task(found: TaskResults, metrics: Path, results: Results) -> Markup:
    """What a task's own analysis shows, and all of its metrics."""
    kinds: Mapping[str, Callable[[TaskResults], Markup]] = {
        "ar": actions,
        "oscc": changes,
        "lta": anticipation,
        "pnr": keyframes,
        "mq": moments,
    }
    body = kinds[found.name](found) if found.name in kinds else Markup("")
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
