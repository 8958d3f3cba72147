"""Differences between runs on the same seeds, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from egopack.params.study import Question
from egopack.tasks.base import load_task

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95


def interval(values: list[float], comparisons: int = 1) -> tuple[float, float]:
    """Mean, and the half-width of Student's 95% interval around it, widened for so many comparisons (Bonferroni);
    a half-width of inf for fewer than two values.
    """
    from scipy.stats import t

    count, mean = len(values), math.fsum(values) / len(values)
    if count < 2:
        return mean, math.inf
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)
    return mean, float(t.ppf(1 - (1 - LEVEL) / 2 / comparisons, count - 1)) * spread


def differences(rows: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Means of both sides and their difference, paired by seed, of every headline metric that both have.

    `rows`: columns variant, seed, regime, task, metric, value. A positive difference is in favor of `better`, whichever
    way the metric counts. Intervals are widened for the number of the question's metrics. Columns: task, metric,
    better, than, seeds, mean_better, mean_than, difference, half_width, at (the values of the question's `each`).
    """
    import pandas as pd

    values = {
        (f"{row.variant}:{row.regime}", row.task, row.metric, row.seed): float(row.value) for row in rows.itertuples()
    }
    all_seeds = sorted({key[3] for key in values})
    metrics = list(dict.fromkeys((row.task, row.metric) for row in rows.itertuples()))
    found = []
    for better, than, at in question.all_differences():
        for task, metric in metrics:
            sides = [
                {seed: values[side, task, metric, seed] for seed in all_seeds if (side, task, metric, seed) in values}
                for side in (better, than)
            ]
            seeds = sorted(sides[0].keys() & sides[1].keys())
            if not seeds:
                continue
            sign = 1 if load_task(task).headline[metric] == "max" else -1
            mean, half = interval([sign * (sides[0][seed] - sides[1][seed]) for seed in seeds], len(metrics))
            means = [math.fsum(side[seed] for seed in seeds) / len(seeds) for side in sides]
            found.append((task, metric, better, than, len(seeds), *means, mean, half, at))
    columns = [
        "task",
        "metric",
        "better",
        "than",
        "seeds",
        "mean_better",
        "mean_than",
        "difference",
        "half_width",
        "at",
    ]
    return pd.DataFrame(found, columns=columns)


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown."""
    lines = ["| metric | better | than | seeds | means | gain, 95% |", "| --- | --- | --- | ---: | ---: | ---: |"]
    for row in table.itertuples():
        lines.append(
            f"| {row.task} {row.metric} | {row.better} | {row.than} | {row.seeds} | {row.mean_better:.4g}, "
            f"{row.mean_than:.4g} | {row.difference:+.3g} ± {row.half_width:.2g} |"
        )
    return "\n".join(lines)


def over(table: pd.DataFrame, x: str) -> str:
    """The differences in Markdown: a row for each metric; for each value of `x` (named where there are several) a
    column for what is compared with, and one for each difference.
    """
    if not len(table):
        return ""
    variants = {
        side.partition(" ")[0].partition(":")[0] for row in table.itertuples() for side in (row.better, row.than)
    }

    def name(side: str) -> str:
        variant, _, regime = side.partition(":")
        kind = regime.split("/")[0]
        return kind if len(variants) == 1 else f"{variant.split(' ')[0]} {kind}"

    columns: dict[tuple[object, str], None] = {}
    cells: dict[str, dict[tuple[object, str], str]] = {}
    for row in sorted(table.itertuples(), key=lambda row: row.at[x]):
        place = row.at[x]
        found = {name(row.than): f"{row.mean_than:.4g}"}
        found[f"{name(row.better)} − {name(row.than)}"] = f"{row.difference:+.3g} ± {row.half_width:.2g}"
        arrow = "↑" if load_task(row.task).headline[row.metric] == "max" else "↓"
        others = "".join(f", {key} {value}" for key, value in row.at.items() if key not in (x, "task"))
        for column, cell in found.items():
            columns[place, column] = None
            cells.setdefault(f"{row.task.upper()} {row.metric} {arrow}{others}", {})[place, column] = cell
    several = len({place for place, _ in columns}) > 1
    heads = [f"{column}, {place} {x}" if several else column for place, column in columns]
    lines = [
        f"| metric | {' | '.join(heads)} |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for metric, own in cells.items():
        lines.append(f"| {metric} | " + " | ".join(own.get(column, "") for column in columns) + " |")
    return "\n".join(lines)
