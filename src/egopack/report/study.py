"""What a study found, where one ran: differences over many seeds, with intervals, and the runs behind them."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from egopack.errors import UserError
from egopack.evaluation.comparison import ARROWS, unit
from egopack.evaluation.paired import differences
from egopack.params.study import load_study
from egopack.report.tables import digits, figure, table
from egopack.tasks.base import load_task

COLUMNS = ("question", "variant", "seed", "regime", "task", "metric", "value")  # of a study's file of runs


def study(runs: Path, plan: Path) -> Markup | None:
    """A table for each question of the plan that has runs; None where no study ran.

    Raises:
        UserError: the file of runs lacks a column, or the plan cannot be read.
    """
    import pandas as pd

    if not runs.is_file():
        return None
    rows = pd.read_csv(runs)
    lacking = [name for name in COLUMNS if name not in rows]
    if lacking:
        raise UserError(f"{runs}: no column {', '.join(lacking)}; python -m stages.study writes {', '.join(COLUMNS)}")
    parts = []
    for name, question in load_study(plan).questions.items():
        own = rows[rows["question"] == name]
        if not len(own):
            continue
        found = [
            [
                f"{row.task} {row.metric} {ARROWS[load_task(row.task).headline[row.metric]]}",
                unit(row.metric),
                *(row.better, digits(row.mean_better), row.than, digits(row.mean_than), row.seeds),
                interval(row.difference, row.half_width),
            ]
            for row in differences(own, question).itertuples()
        ]
        header = ["metric", "unit", "better?", "mean", "than", "mean", "seeds", "gain [95% interval]"]
        words = f"{question.about} Seeds: {question.seeds}. A positive gain is in favor of the first, whichever way "
        words += "the metric counts; intervals are paired by seed and widened for the number of metrics."
        parts.append(figure(table(header, found, name), words))
    return Markup("").join(parts) if parts else None


def interval(mean: float, half_width: float) -> str:
    """A mean and its interval."""
    return f"{mean:+.3g} [{mean - half_width:+.3g}, {mean + half_width:+.3g}]"
