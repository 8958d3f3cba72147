"""Which prototypes each novel task consults: of which verbs and nouns, how often, and whether they fit what happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from egopack.evaluation.predict import read_predictions
from egopack.labels import UNLABELLED
from egopack.model.prototypes import load_prototypes
from egopack.report.page import figure, table
from egopack.report.results import Folders, Results, TaskResults, seconds_in_video, short, title_of

if TYPE_CHECKING:
    import pandas as pd

    from egopack.data.grid import Grid

WORDS = (
    "The nearest prototype of every feature that consults them. used: share of the prototypes that are the nearest at "
    "all. fits: it has the verb, the noun, both of the action at that time; in brackets, how often it would if it knew "
    "nothing of the time."
)
TOP = 5  # pairs that are named


@dataclass(frozen=True)
class Fit:
    """How often the nearest prototype has the verb, the noun and both of the action at that time, in percent, and how
    often it would if what is consulted had nothing to do with the time; `count` features lie within an action.
    """

    count: int
    right: tuple[float, float, float]
    chance: tuple[float, float, float]


def prototypes(results: Results, folders: Folders, source: str) -> Markup:
    """A table for each task; `source` is the task whose segments made the prototypes and tell what happens."""
    known, parts = results.tasks[source], []
    for task, pack in results.packs.items():
        found = results.tasks[task]
        consulted = read_predictions(folders.consulted / f"{task}.parquet")
        made = load_prototypes(folders.prototypes / f"{pack}.safetensors")
        pairs = np.stack([made.verb.numpy(), made.noun.numpy()], axis=1)
        truth = actions_at(consulted, known, results.grid)
        rows = []
        for support in consulted.columns.drop(["video_uid", "second"]):
            near = consulted[support].to_numpy()
            fits = fit(pairs[near], truth)
            cells = [f"{own:.1f} ({luck:.1f})" for own, luck in zip(fits.right, fits.chance, strict=True)]
            rows.append([title_of(support), used(near, len(pairs)), *cells, favorites(near, pairs, known)])
        header = ["support task", "used, %", "verb fits, %", "noun fits, %", "both, %", "consulted most, % of times"]
        inside = int((truth[:, 0] != UNLABELLED).sum())
        words = f"{found.title}: {len(consulted):,} features, of which {inside:,} lie within an action"
        parts.append(figure(table(header, rows, f"prototypes that {found.title} consults"), words))
    return Markup('<p class="note">{}</p>').format(WORDS) + Markup("").join(parts)


def actions_at(consulted: pd.DataFrame, known: TaskResults, grid: Grid) -> np.ndarray:
    """Verb and noun of the shortest action at each time, [rows, 2]; UNLABELLED where there is none."""
    truth = np.full((len(consulted), 2), UNLABELLED)
    second, shortest = consulted["second"].to_numpy(), np.full(len(consulted), np.inf)
    rows_of = consulted.groupby("video_uid", sort=False).indices
    for sample in known.samples:
        if (
            sample.segments is None
            or sample.video_uid not in rows_of
            or not {"verbs", "nouns"} <= sample.targets.keys()
        ):
            continue
        rows = rows_of[sample.video_uid]
        labels = np.stack([sample.targets["verbs"], sample.targets["nouns"]], axis=1)
        for (start, end), label in zip(sample.segments + seconds_in_video(sample, grid), labels, strict=True):
            here = rows[(second[rows] >= start) & (second[rows] < end) & (shortest[rows] > end - start)]
            truth[here], shortest[here] = label, end - start
    return truth


def fit(consulted: np.ndarray, truth: np.ndarray) -> Fit:
    """How well verbs and nouns [rows, 2] that were consulted fit those that were true, where both of those are."""
    inside = (truth != UNLABELLED).all(axis=1)
    count = int(inside.sum())
    if not count:
        return Fit(0, (np.nan,) * 3, (np.nan,) * 3)
    a, b = consulted[inside], truth[inside]
    size = int(max(a.max(), b.max())) + 1
    columns = [(a[:, 0], b[:, 0]), (a[:, 1], b[:, 1]), (a[:, 0] * size + a[:, 1], b[:, 0] * size + b[:, 1])]
    right = [100 * float(np.mean(own == true)) for own, true in columns]
    chance = []
    for own, true in columns:
        values = np.union1d(own, true)
        shares = [np.bincount(np.searchsorted(values, each), minlength=len(values)) / count for each in (own, true)]
        chance.append(100 * float(shares[0] @ shares[1]))
    return Fit(count, (right[0], right[1], right[2]), (chance[0], chance[1], chance[2]))


def used(near: np.ndarray, prototypes: int) -> str:
    """Share of the prototypes that were the nearest at least once."""
    return f"{100 * len(np.unique(near)) / prototypes:.0f}"


def favorites(near: np.ndarray, pairs: np.ndarray, known: TaskResults) -> str:
    """The pairs that are consulted most, with the percentage of times."""
    counts = np.bincount(near, minlength=len(pairs))
    order = np.argsort(-counts, kind="stable")[:TOP]
    return ", ".join(
        f"{short(known.labels['verbs'][pairs[index, 0]])} {short(known.labels['nouns'][pairs[index, 1]])} "
        f"{100 * counts[index] / len(near):.1f}"
        for index in order
        if counts[index]
    )
