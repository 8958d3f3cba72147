"""Action detection on EPIC-KITCHENS-100: mAP of verb, noun and action at tIoU 0.1 ... 0.5, and pairs of two detectors'
segments.

Of equal scores, and of equal overlaps, the later row comes first, as in the official scorer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from egopack.detection.average_precision import GroundTruth, Predictions, average_precision

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
PARTS = ("verb", "noun", "action")
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5)
PAIR_TIOU = 0.5


@dataclass(frozen=True)
class ActionSegments:
    """Segments with a verb and a noun, one a row: `video` ids, `verb`, `noun` [S], `segments` [S, 2] in seconds."""

    video: Ints
    verb: Ints
    noun: Ints
    segments: Floats

    def labels(self, part: str, nouns: int) -> Ints:
        """Classes of a part; of an action the number of its pair, where nouns are fewer than `nouns`."""
        return {"verb": self.verb, "noun": self.noun, "action": self.verb * nouns + self.noun}[part]


def detection_scores(truth: ActionSegments, found: ActionSegments, scores: Floats) -> dict[str, dict[str, object]]:
    """{part: {"map_at_0.1_to_0.5": [5], "average"}} in percent.

    Classes are those of the truth; what is found of others takes no part. With no truth at all it is NaN.
    """
    nouns = int(max([*truth.noun, *found.noun], default=0)) + 1
    report: dict[str, dict[str, object]] = {}
    for part in PARTS:
        wanted = GroundTruth(truth.video[::-1], truth.segments[::-1], truth.labels(part, nouns)[::-1])
        given = Predictions(found.video[::-1], found.segments[::-1], found.labels(part, nouns)[::-1], scores[::-1])
        result = average_precision(wanted, given, TIOU)
        maps = [100 * float(value) for value in result.per_tiou]
        report[part] = {"map_at_0.1_to_0.5": maps, "average": float(np.mean(maps))}
    return report


def pair_segments(verbs: Predictions, nouns: Predictions, most: int) -> tuple[ActionSegments, Floats]:
    """Actions of what a detector of verbs and one of nouns found: every two segments of one video whose IoU is at least
    PAIR_TIOU make one.

    Its score is the geometric mean of the two scores, its segment their mean, weighted by the scores. Of a video's
    actions the `most` best are kept, best first.
    """
    kept: list[tuple[Ints, Ints, Ints, Floats, Floats]] = []
    for video in np.unique(verbs.video):
        one, two = np.flatnonzero(verbs.video == video), np.flatnonzero(nouns.video == video)
        first, second = np.nonzero(_overlaps(verbs.segments[one], nouns.segments[two]) >= PAIR_TIOU)
        one, two = one[first], two[second]
        weight = np.stack([verbs.scores[one], nouns.scores[two]])
        score = np.sqrt(weight.prod(axis=0))
        best = np.argsort(-score, kind="stable")[:most]
        one, two, weight, score = one[best], two[best], weight[:, best], score[best]
        share = weight / np.maximum(weight.sum(axis=0), np.finfo(np.float64).tiny)
        segments = share[0][:, None] * verbs.segments[one] + share[1][:, None] * nouns.segments[two]
        kept.append((np.full(len(one), video), verbs.labels[one], nouns.labels[two], segments, score))
    if not kept:
        none = np.empty(0, np.int64)
        return ActionSegments(none, none, none, np.empty((0, 2))), np.empty(0)
    video_, verb, noun, segments, score = (np.concatenate(column) for column in zip(*kept, strict=True))
    return ActionSegments(video_, verb, noun, segments), score


def _overlaps(one: Floats, two: Floats) -> Floats:
    """IoU of every two segments, [len(one), len(two)]; 0 where they share no time."""
    shared = np.minimum(one[:, None, 1], two[None, :, 1]) - np.maximum(one[:, None, 0], two[None, :, 0])
    shared = np.maximum(shared, 0.0)
    union = (one[:, 1] - one[:, 0])[:, None] + (two[:, 1] - two[:, 0])[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
