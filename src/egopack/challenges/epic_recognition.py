"""Action recognition on EPIC-KITCHENS-100: top-1 and top-5 accuracy of verb, noun and action.

An action is a verb with a noun; of the pairs those count whose product of probabilities is highest. Of equal scores the
higher class comes first, as in the official scorer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
PARTS = ("verb", "noun", "action")
PAIRS = 100  # best classes of either part that pairs are made of, and best pairs that are kept
TOP = (1, 5)


@dataclass(frozen=True)
class RecognitionTruth:
    """The segments to name, one a row: classes `verb` and `noun` [S], and the `participant` of each."""

    verb: Ints
    noun: Ints
    participant: tuple[str, ...]


def recognition_scores(
    verb: NDArray[np.floating],
    noun: NDArray[np.floating],
    truth: RecognitionTruth,
    tail_verbs: Collection[int] = (),
    tail_nouns: Collection[int] = (),
    unseen: Collection[str] = (),
) -> dict[str, dict[str, list[float]]]:
    """{"all": {part: [top-1, top-5]}, "tail": {part: [top-1]}, "unseen": {part: [top-1]}} in percent.

    `verb` [S, verbs] and `noun` [S, nouns] are logits. A segment's action is of the tail where its verb or its noun is.
    Of no segment at all an accuracy is not defined, and left out.
    """
    verbs, nouns = best_classes(verb)[:, : max(TOP)], best_classes(noun)[:, : max(TOP)]
    pairs = best_pairs(verb, noun)[:, : max(TOP)]
    right = {
        "verb": verbs == truth.verb[:, None],
        "noun": nouns == truth.noun[:, None],
        "action": (pairs == np.stack([truth.verb, truth.noun], axis=1)[:, None]).all(axis=2),
    }
    tail = {"verb": np.isin(truth.verb, list(tail_verbs)), "noun": np.isin(truth.noun, list(tail_nouns))}
    tail["action"] = tail["verb"] | tail["noun"]
    people = np.isin(np.array(truth.participant, dtype=str), np.array(list(unseen), dtype=str))
    everyone = np.ones(len(truth.verb), dtype=bool)
    return {
        "all": _accuracies(right, dict.fromkeys(PARTS, everyone), TOP),
        "tail": _accuracies(right, tail, TOP[:1]),
        "unseen": _accuracies(right, dict.fromkeys(PARTS, people), TOP[:1]),
    }


def _accuracies(
    right: Mapping[str, Flags], chosen: Mapping[str, Flags], top: tuple[int, ...]
) -> dict[str, list[float]]:
    return {
        part: [100 * float(right[part][chosen[part], :k].any(axis=1).mean()) for k in top]
        for part in PARTS
        if chosen[part].any()
    }


def best_classes(scores: NDArray[np.floating]) -> Ints:
    """All classes of scores [S, C], best first; of equal ones the higher first."""
    return np.argsort(scores, axis=1, kind="stable")[:, ::-1]


def best_pairs(verb: NDArray[np.floating], noun: NDArray[np.floating]) -> Ints:
    """The PAIRS best pairs of a verb and a noun, best first: [S, PAIRS, 2]; fewer where there are no more.

    Probabilities are those among the PAIRS best classes of either part.
    """
    classes = [best_classes(scores)[:, :PAIRS] for scores in (verb, noun)]
    verbs, nouns = (
        _softmax(np.take_along_axis(scores, best, axis=1)) for scores, best in zip((verb, noun), classes, strict=True)
    )
    width = nouns.shape[1]
    pairs = np.empty((len(verbs), min(PAIRS, verbs.shape[1] * width), 2), dtype=np.int64)
    for row, (one, other) in enumerate(zip(verbs, nouns, strict=True)):  # one by one: all at once fill the memory
        best = np.argsort((one[:, None] * other[None]).ravel(), kind="stable")[::-1][:PAIRS]
        pairs[row] = np.stack([classes[0][row, best // width], classes[1][row, best % width]], axis=1)
    return pairs


def _softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)
