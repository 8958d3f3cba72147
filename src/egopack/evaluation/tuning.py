"""Which settings of a grid are best for a regime, by its runs on the tuning seeds alone."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from egopack.params.study import Chosen, Question, StudyParams
from egopack.tasks.base import load_task

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["question", "variant", "regime", "runs", "of", "best", "score", "next", "edge"]


def tuned(rows: pd.DataFrame, study: StudyParams) -> pd.DataFrame:
    """What was found for each regime of each variant that is tuned.

    `rows`: columns question, variant, point, seed, regime, task, metric, value. Columns of the result: `runs` that
    there are `of` those that are wanted; the `best` point and its `score`, the mean over seeds and headline metrics,
    each counted so that more is better; `next`, its neighbors in the grid with their scores; `edge`, the fields of
    which the best value is the first or the last. Before all runs are there, best is empty.
    """
    import pandas as pd

    signs: dict[str, dict[str, int]] = {}
    values: dict[tuple[str, str, str, str], dict[int, list[float]]] = {}
    for row in rows.itertuples():
        if row.task not in signs:
            signs[row.task] = {name: 1 if how == "max" else -1 for name, how in load_task(row.task).headline.items()}
        if row.metric in signs[row.task]:
            at = values.setdefault((row.question, row.variant, row.regime, row.point), {})
            at.setdefault(int(row.seed), []).append(signs[row.task][row.metric] * float(row.value))
    found = []
    for name, question in study.questions.items():
        for variant, one in question.all_variants().items() if question.tune else ():
            for regime in one.regimes:
                seen = {point: values.get((name, variant, regime, point), {}) for point in question.points()}
                wanted = list(itertools.product(seen, study.seeds.tuning))
                runs = sum(seed in seen[point] for point, seed in wanted)
                scores = {
                    point: math.fsum(sum(seen[point][seed]) / len(seen[point][seed]) for seed in study.seeds.tuning)
                    / len(study.seeds.tuning)
                    for point in seen
                    if all(seed in seen[point] for seed in study.seeds.tuning)
                }
                whole = runs == len(wanted)
                # of equal ones the first; one that is not finite is never the best
                best = (
                    max(scores, key=lambda point: scores[point] if scores[point] == scores[point] else -math.inf)
                    if whole
                    else ""
                )
                near = neighbors(question, best) if best else []
                beside = ", ".join(f"{point}: {scores[point]:.4g}" for point in near)
                edge = ", ".join(edges(question, best)) if best else ""
                found.append((name, variant, regime, runs, len(wanted), best, scores.get(best), beside, edge))
    return pd.DataFrame(found, columns=COLUMNS)


def neighbors(question: Question, point: str) -> list[str]:
    """The points of the grid that differ from one in a single field, by a single step."""
    grid, here = question.points(), question.points()[point]
    steps = {key: values.index(here[key]) for key, values in question.tune.items()}

    def apart(other: str) -> int:
        return sum(abs(values.index(grid[other][key]) - steps[key]) for key, values in question.tune.items())

    return [other for other in grid if apart(other) == 1]


def edges(question: Question, point: str) -> list[str]:
    """The fields whose value at a point is the first or the last of the grid: a better one may lie beyond."""
    here = question.points()[point]
    return [key for key, values in question.tune.items() if values.index(here[key]) in (0, len(values) - 1)]


def chosen(table: pd.DataFrame, study: StudyParams) -> Chosen:
    """The best fields of each regime whose tuning is whole, from the table of `tuned`."""
    return {
        (row.question, row.variant, row.regime): study.questions[row.question].points()[row.best]
        for row in table.itertuples()
        if row.best
    }


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown, but for regimes that no run is of, which are counted."""
    lines = ["| variant | regime | runs | best | score | beside it | on the edge |", "| --- " * 7 + "|"]
    for row in table[table["runs"] > 0].itertuples():
        score = f"{row.score:.4g}" if row.best else ""
        edge = f"{row.edge}: widen the grid" if row.edge else ""
        lines.append(
            f"| {row.variant} | {row.regime} | {row.runs} of {row.of} | {row.best} | {score} | {row.next} | {edge} |"
        )
    if none := int((table["runs"] == 0).sum()):
        lines.append(f"\n{none} regimes have no run yet.")
    return "\n".join(lines)
