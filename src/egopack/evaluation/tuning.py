"""Which settings of a grid are best for a regime, by its runs on the tuning seeds alone."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from egopack.params.study import Chosen, Place, Question, StudyParams, is_multi, tuned_regimes
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

    values, seeds = _values(rows), study.seeds.tuning
    points, found = wanted(rows, study), []
    for name, question in study.questions.items():
        for variant, one in question.tuned_variants().items():
            for regime in [*tuned_regimes(one, several=False), *tuned_regimes(one, several=True)]:
                seen, asked = values.get((name, variant, regime), {}), points[name, variant, is_multi(regime)]
                runs = sum(seed in seen.get(point, {}) for point, seed in itertools.product(asked, seeds))
                scores, of = _scores(seen, seeds), len(asked) * len(seeds)
                best = _best(asked, scores) if runs == of else ""
                near = neighbors(question, best) if best else []
                beside = ", ".join(f"{point}: {scores[point]:.4g}" for point in near)
                edge = ", ".join(edges(question, best)) if best else ""
                found.append((name, variant, regime, runs, of, best, scores.get(best), beside, edge))
    return pd.DataFrame(found, columns=COLUMNS)


def wanted(rows: pd.DataFrame, study: StudyParams) -> dict[Place, list[str]]:
    """The points of its grid that each variant is to be tried at, by what the runs say so far: those that its search
    starts with, those that ran, those beside the best of these for any of its regimes, and so on. What one regime is
    tried at all are, but for those that train several tasks together.
    """
    values, seeds, found = _values(rows), study.seeds.tuning, dict[Place, list[str]]()
    for name, question in study.questions.items():
        grid = list(question.points())
        for variant, one in question.tuned_variants().items():
            for several in (False, True):
                regimes = tuned_regimes(one, several)
                if not regimes:
                    continue
                scores = [_scores(values.get((name, variant, regime), {}), seeds) for regime in regimes]
                asked, before = set(question.first_points()), set[str]()
                asked.update(point for point in grid if all(point in each for each in scores))
                while asked != before and all(point in each for each in scores for point in asked):
                    before = set(asked)
                    ordered = [point for point in grid if point in asked]
                    asked.update(*(neighbors(question, _best(ordered, each)) for each in scores))
                found[name, variant, several] = [point for point in grid if point in asked]
    return found


def _values(rows: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, dict[int, list[float]]]]:
    """Question, variant and regime -> point -> seed -> headline metrics, each counted so that more is better."""
    signs: dict[str, dict[str, int]] = {}
    values: dict[tuple[str, str, str], dict[str, dict[int, list[float]]]] = {}
    for row in rows.itertuples():
        if row.task not in signs:
            signs[row.task] = {name: 1 if how == "max" else -1 for name, how in load_task(row.task).headline.items()}
        if row.metric in signs[row.task]:
            at = values.setdefault((row.question, row.variant, row.regime), {}).setdefault(row.point, {})
            at.setdefault(int(row.seed), []).append(signs[row.task][row.metric] * float(row.value))
    return values


def _scores(seen: dict[str, dict[int, list[float]]], seeds: list[int]) -> dict[str, float]:
    """The mean over these seeds of each point that has them all."""
    return {
        point: math.fsum(sum(at[seed]) / len(at[seed]) for seed in seeds) / len(seeds)
        for point, at in seen.items()
        if all(seed in at for seed in seeds)
    }


def _best(points: list[str], scores: dict[str, float]) -> str:
    """The best of points, of equal ones the first; one whose score is not finite is never the best."""
    return max(points, key=lambda point: scores[point] if scores[point] == scores[point] else -math.inf)


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
