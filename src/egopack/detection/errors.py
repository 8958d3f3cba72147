"""Why detections are wrong, as DETAD tells it apart (Alwassel et al., 2018, arXiv 1807.10706).

A prediction that is no true positive is looked at beside the ground truth of its video that it overlaps most, of
whatever class. With an IoU of at least the tIoU it is a double detection if that has its class, else a wrong label;
below that, but not below LEAST, a localization error or a confusion; below LEAST it is background.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from egopack.detection.average_precision import (
    Floats,
    GroundTruth,
    Ints,
    Predictions,
    average_precision,
    true_positives,
)

LEAST = 0.1
KINDS = ("true positive", "double detection", "wrong label", "localization", "confusion", "background")


def take(predictions: Predictions, rows: Ints | NDArray[np.bool_]) -> Predictions:
    """Some of the predictions."""
    return Predictions(
        predictions.video[rows], predictions.segments[rows], predictions.labels[rows], predictions.scores[rows]
    )


def take_truth(truth: GroundTruth, rows: Ints | NDArray[np.bool_]) -> GroundTruth:
    """Some of the ground truth."""
    return GroundTruth(truth.video[rows], truth.segments[rows], truth.labels[rows])


def best_predictions(truth: GroundTruth, predictions: Predictions, factor: int) -> tuple[Ints, Ints]:
    """Of each class with n instances its factor * n best predictions, and for each of them in which n of its class it
    lies: 0 ... factor - 1.
    """
    classes, instances = np.unique(truth.labels, return_counts=True)
    kept, turn = [], []
    for label, count in zip(classes, instances, strict=True):
        rows = np.flatnonzero(predictions.labels == label)
        rows = rows[np.argsort(-predictions.scores[rows], kind="stable")][: factor * count]
        kept.append(rows)
        turn.append(np.arange(len(rows)) // count)
    if not kept:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(kept), np.concatenate(turn)


def error_kinds(truth: GroundTruth, predictions: Predictions, tiou: float) -> Ints:
    """The place in KINDS of each prediction, [P]."""
    kinds = np.full(len(predictions.video), KINDS.index("background"))
    for video in np.unique(truth.video):
        rows, own = np.flatnonzero(predictions.video == video), np.flatnonzero(truth.video == video)
        if not len(rows):
            continue
        iou = overlaps(predictions.segments[rows], truth.segments[own])
        best = iou.argmax(axis=1)
        most, same = iou[np.arange(len(rows)), best], truth.labels[own][best] == predictions.labels[rows]
        near, far = np.where(same, 1, 2), np.where(same, 3, 4)
        kinds[rows] = np.where(most >= tiou, near, np.where(most >= LEAST, far, 5))
    kinds[true_positives(truth, predictions, [tiou])[0]] = 0
    return kinds


def overlaps(a: Floats, b: Floats) -> Floats:
    """IoU of each segment of a [A, 2] with each of b [B, 2]: [A, B]; 0 where they share no time."""
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    shared = np.maximum(shared, 0)
    union = (a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def profile(kinds: Ints, turn: Ints, factor: int) -> Floats:
    """Share of each kind in percent, turn by turn: [KINDS, factor]."""
    counts = np.zeros((len(KINDS), factor))
    np.add.at(counts, (kinds, turn), 1)
    return 100 * counts / np.maximum(counts.sum(axis=0), 1)


def gains(truth: GroundTruth, predictions: Predictions, kinds: Ints, tiou: float) -> dict[str, float]:
    """By how many points mAP would rise if no prediction were wrong in this way, for each way."""
    have = average_precision(truth, predictions, [tiou]).average
    return {
        kind: 100 * (average_precision(truth, take(predictions, kinds != number), [tiou]).average - have)
        for number, kind in enumerate(KINDS)
        if number
    }


def by_length(truth: GroundTruth, predictions: Predictions, edges: Floats, tiou: float) -> Floats:
    """mAP in percent of the instances of each length, edges[i] <= length < edges[i + 1]; NaN where there are none.

    A prediction that finds an instance of another length takes no part.
    """
    length = truth.segments[:, 1] - truth.segments[:, 0]
    found = true_positives(truth, predictions, [tiou])[0]
    values = np.full(len(edges) - 1, np.nan)
    for place, (low, high) in enumerate(pairwise(edges)):
        own = take_truth(truth, (length >= low) & (length < high))
        if len(own.video):
            elsewhere = found & ~true_positives(own, predictions, [tiou])[0]
            values[place] = 100 * average_precision(own, take(predictions, ~elsewhere), [tiou]).average
    return values


def precision_over_recall(truth: GroundTruth, predictions: Predictions, tiou: float, recall: Floats) -> Floats:
    """Interpolated precision at each recall, the mean over the classes of the ground truth."""
    found = true_positives(truth, predictions, [tiou])[0]
    curves = []
    for label, positives in zip(*np.unique(truth.labels, return_counts=True), strict=True):
        rows = np.flatnonzero(predictions.labels == label)
        hits = found[rows[np.argsort(-predictions.scores[rows], kind="stable")]]
        reached, precision = np.cumsum(hits) / positives, np.cumsum(hits) / np.arange(1, len(hits) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(reached, recall - 1e-12)
        curves.append(np.where(place < len(hits), np.append(best, 0)[np.minimum(place, len(hits))], 0.0))
    return np.mean(curves, axis=0) if curves else np.full(len(recall), np.nan)
