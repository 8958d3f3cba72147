"""The comparison of the regimes: metric -> chance, single, multi, egopack."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from egopack.files import atomic_path, read_json, write_json
from egopack.tasks.base import load_task

COLUMNS = ("chance", "single", "multi", "egopack")
ARROWS = {"max": "↑", "min": "↓"}
Comparison = dict[str, dict[str, float | None]]  # "task.metric" -> column -> value


def unit(metric: str) -> str:
    """The unit of a metric, which its name ends in: `_s` is seconds, `_ed` and `_aued` are edit distances from 0 to 1;
    all others are in percent.
    """
    last = metric.rpartition("_")[2]
    return {"s": "s", "ed": "edit distance, 0 to 1", "aued": "edit distance, 0 to 1"}.get(last, "%")


def compare(folder: Path, tasks: Sequence[str], helped: Collection[str], multi_pack: str | None) -> Comparison:
    """Collect <folder>/{chance,single,egopack}/<task>.json and <folder>/multi/<multi_pack>.json; None where a pack
    lacks the task, or none helps it.
    """
    multi = {} if multi_pack is None else read_json(folder / "multi" / f"{multi_pack}.json")
    table: Comparison = {}
    for task in tasks:
        parts = {column: read_json(folder / column / f"{task}.json") for column in ("chance", "single")}
        parts["multi"] = multi.get(task, {})
        parts["egopack"] = read_json(folder / "egopack" / f"{task}.json") if task in helped else {}
        for metric in load_task(task).headline:
            table[f"{task}.{metric}"] = {column: parts[column].get(metric) for column in COLUMNS}
    return table


def read_comparison(folder: Path, tasks: Iterable[str]) -> Comparison:
    """What `write_comparison` wrote, in the order of the tasks and their headlines."""
    columns = {column: read_json(folder / f"{column}.json") for column in COLUMNS}
    return {
        f"{task}.{metric}": {column: found.get(task, {}).get(metric) for column, found in columns.items()}
        for task in tasks
        for metric in load_task(task).headline
    }


def cells(comparison: Comparison) -> list[list[str]]:
    """Rows of text, the header first; an arrow tells which direction is better."""
    rows = [["metric", *COLUMNS]]
    for name, values in comparison.items():
        task, metric = name.split(".", 1)
        arrow = ARROWS[load_task(task).headline[metric]]
        digits = [
            ("" if value is None else f"{value:.2f}" if abs(value) >= 2 else f"{value:.3f}")
            for value in (values[column] for column in COLUMNS)
        ]
        rows.append([f"{task.upper()} {metric} {arrow}", *digits])
    return rows


def markdown(comparison: Comparison) -> str:
    """The table in Markdown."""
    header, *rows = cells(comparison)
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ruler, *rows]) + "\n"


def write_comparison(folder: Path, table: Path, comparison: Mapping[str, dict[str, float | None]]) -> None:
    """Write <folder>/<column>.json for every column, <folder>/comparison.csv, and the Markdown to `table`."""
    comparison = dict(comparison)
    for column in COLUMNS:
        found: dict[str, dict[str, float]] = {}
        for name, values in comparison.items():
            task, metric = name.split(".", 1)
            if (value := values[column]) is not None:
                found.setdefault(task, {})[metric] = value
        write_json(folder / f"{column}.json", found)
    with atomic_path(table) as temporary:
        temporary.write_text(markdown(comparison), encoding="utf-8")
    with atomic_path(folder / "comparison.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["metric", *COLUMNS])
        writer.writerows(
            [name, *("" if values[column] is None else values[column] for column in COLUMNS)]
            for name, values in comparison.items()
        )
