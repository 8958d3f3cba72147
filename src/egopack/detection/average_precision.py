"""Temporal detection metrics over columns: average precision and Recall@kx, in their official and published variants.

Order is defined everywhere: of equal scores the earlier prediction is the better, of equal IoUs the earlier ground
truth is taken. Classes are those of the ground truth; predictions of any other class take no part. Two segments that
share no time, empty ones included, have an IoU of 0. With no ground truth a metric is not defined and is NaN; without
predictions it is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import egopack_native
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """Instances to find, one a row: `video` ids [G], `segments` [G, 2] in seconds, `labels` [G]."""

    video: Ints
    segments: Floats
    labels: Ints

    def __post_init__(self) -> None:
        object.__setattr__(self, "video", _integers("video", self.video))
        object.__setattr__(self, "labels", _integers("labels", self.labels))
        object.__setattr__(self, "segments", _floats("segments", self.segments, (len(self.video), 2)))
        _check_rows("labels", self.labels, len(self.video))


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Detections in any order, one a row: `video` ids, `labels`, `scores` [P] and `segments` [P, 2] in seconds."""

    video: Ints
    segments: Floats
    labels: Ints
    scores: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "video", _integers("video", self.video))
        object.__setattr__(self, "labels", _integers("labels", self.labels))
        object.__setattr__(self, "segments", _floats("segments", self.segments, (len(self.video), 2)))
        object.__setattr__(self, "scores", _floats("scores", self.scores, (len(self.video),)))
        _check_rows("labels", self.labels, len(self.video))


@dataclass(frozen=True, slots=True, eq=False)
class AveragePrecision:
    """`values` [tIoU, C]: interpolated AP of each class of the ground truth, whose labels are `classes` [C]."""

    classes: Ints
    values: Floats

    @property
    def per_tiou(self) -> Floats:
        """mAP at each tIoU, [tIoU]; NaN without ground truth."""
        return self.values.mean(axis=1) if len(self.classes) else np.full(len(self.values), np.nan)

    @property
    def average(self) -> float:
        """mAP averaged over the tIoUs; NaN without ground truth."""
        return float(self.per_tiou.mean())


def average_precision(truth: GroundTruth, predictions: Predictions, tiou: Sequence[float]) -> AveragePrecision:
    """Interpolated average precision per tIoU and class.

    Best score first, a prediction takes the free ground truth of its class and video with the highest IoU, if that is
    at least the tIoU; otherwise it is a false positive.

    Raises:
        ValueError: `tiou` is empty or holds a value outside (0, 1].
    """
    thresholds = _thresholds(tiou)
    groups = _Groups.of(truth)
    positives = np.bincount(groups.truth_class, minlength=len(groups.classes))
    values = np.zeros((len(thresholds), len(groups.classes)))
    rows, group, rank = groups.ranked(predictions)
    hits = egopack_native.match(predictions.segments[rows], group, groups.segments, groups.first, thresholds)
    of_class = groups.class_of_group[group]
    for row, hit in zip(values, hits.view(np.bool_), strict=True):
        _fill_interpolated(row, of_class[hit], rank[hit])
    return AveragePrecision(groups.classes, values / np.maximum(positives, 1))


def true_positives(truth: GroundTruth, predictions: Predictions, tiou: Sequence[float]) -> NDArray[np.bool_]:
    """Which predictions `average_precision` counts as found, per tIoU: [tIoU, P].

    Raises:
        ValueError: `tiou` is empty or holds a value outside (0, 1].
    """
    thresholds = _thresholds(tiou)
    groups = _Groups.of(truth)
    rows, group, _ = groups.ranked(predictions)
    found = np.zeros((len(thresholds), len(predictions.video)), dtype=np.bool_)
    hits = egopack_native.match(predictions.segments[rows], group, groups.segments, groups.first, thresholds)
    found[:, rows] = hits.view(np.bool_)
    return found


def recall_pooled(
    truth: GroundTruth, predictions: Predictions, tiou: Sequence[float], top: Sequence[int] = (1, 5)
) -> Floats:
    """Official Recall@kx, [tIoU, k]: share of all ground truths that one of the predictions meets with IoU > tIoU.

    Of a class with n instances in a video, the k * n best predictions there count; one may meet several instances.

    Raises:
        ValueError: `tiou` or `top` is empty or out of range.
    """
    thresholds = _thresholds(tiou)
    _, best = _best_overlaps(truth, predictions, top)
    found = best[None] > thresholds[:, None, None]
    return found.mean(axis=2) if best.shape[1] else np.full(found.shape[:2], np.nan)


def recall_class_mean(
    truth: GroundTruth, predictions: Predictions, tiou: Sequence[float], top: Sequence[int] = (1, 5)
) -> Floats:
    """Recall@kx as the published code has it, [tIoU, k]: IoU >= tIoU, averaged per class, then over the classes.

    Raises:
        ValueError: `tiou` or `top` is empty or out of range.
    """
    thresholds = _thresholds(tiou)
    groups, best = _best_overlaps(truth, predictions, top)
    found = best[None] >= thresholds[:, None, None]
    if not len(groups.classes):
        return np.full(found.shape[:2], np.nan)
    classes = [found[:, :, groups.truth_class == number].mean(axis=2) for number in range(len(groups.classes))]
    return np.mean(classes, axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Ground truth sorted by group, a group being one class in one video that has any."""

    videos: Ints  # distinct ids, sorted
    classes: Ints  # distinct labels, sorted
    table: Ints  # [videos * classes]: number of the group, or -1
    first: Ints  # [groups + 1]: where each group's ground truth begins
    segments: Floats  # of the ground truth, group by group
    truth_class: Ints  # class number of each of them
    class_of_group: Ints

    @classmethod
    def of(cls, truth: GroundTruth) -> _Groups:
        videos, video = np.unique(truth.video, return_inverse=True)
        classes, label = np.unique(truth.labels, return_inverse=True)
        keys, group, counts = np.unique(video * len(classes) + label, return_inverse=True, return_counts=True)
        order = np.argsort(group, kind="stable")
        table = np.full(len(videos) * len(classes), -1, dtype=np.int64)
        table[keys] = np.arange(len(keys))
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        class_of_group = keys % max(len(classes), 1)
        return cls(videos, classes, table, first, truth.segments[order], label[order], class_of_group)

    def locate(self, predictions: Predictions) -> tuple[Ints, Ints, Ints]:
        """Rows of the classes that have ground truth; their class numbers; their groups (-1: none in that video)."""
        label = _index(self.classes, predictions.labels)
        rows = np.flatnonzero(label >= 0)
        label = label[rows]
        video = _index(self.videos, predictions.video[rows])
        inside = np.flatnonzero(video >= 0)
        group = np.full(len(rows), -1, dtype=np.int64)
        group[inside] = self.table[video[inside] * len(self.classes) + label[inside]]
        return rows, label, group

    def ranked(self, predictions: Predictions) -> tuple[Ints, Ints, Ints]:
        """Rows that have a group, best first within a class; their groups; their places in the class, from 1."""
        rows, label, group = self.locate(predictions)
        order = np.lexsort((-predictions.scores[rows], label))
        starts = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=len(self.classes)))])
        grouped = np.flatnonzero(group[order] >= 0)
        chosen = order[grouped]
        return rows[chosen], group[chosen], grouped - starts[label[chosen]] + 1


def _best_overlaps(truth: GroundTruth, predictions: Predictions, top: Sequence[int]) -> tuple[_Groups, Floats]:
    """Highest IoU of each ground truth, in group order, with the k * n best predictions of its group: [k, G]."""
    ranks = _integers("top", np.asarray(top))
    if not len(ranks) or ranks.min() < 1:
        raise ValueError(f"top: expected positive whole numbers, got {list(top)}")
    groups = _Groups.of(truth)
    rows, _, group = groups.locate(predictions)
    rows, group = rows[group >= 0], group[group >= 0]
    order = np.argsort(-predictions.scores[rows], kind="stable")
    best = egopack_native.best_overlap(
        predictions.segments[rows[order]], group[order], groups.segments, groups.first, ranks
    )
    return groups, best


def _fill_interpolated(sums: Floats, of_class: Ints, rank: Ints) -> None:
    """Write into `sums` [C] the interpolated precisions, summed over the true positives, given class by class.

    Precision falls at every false positive, so its running maximum from the right changes at true positives alone, and
    recall rises by 1 / positives at each: the area is this sum over the number of positives.
    """
    bounds = np.searchsorted(of_class, np.arange(len(sums) + 1))
    for number in np.unique(of_class):
        places = rank[bounds[number] : bounds[number + 1]]
        precision = np.arange(1, len(places) + 1) / places
        sums[number] = np.maximum.accumulate(precision[::-1]).sum()


def _index(known: Ints, values: Ints) -> Ints:
    """Position of each value in the sorted `known`, -1 where it is not there."""
    if not len(known):
        return np.full(len(values), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place, -1)


def _thresholds(tiou: Sequence[float]) -> Floats:
    thresholds = np.asarray(tiou, dtype=np.float64).reshape(-1)
    if not len(thresholds) or not np.all((thresholds > 0) & (thresholds <= 1)):
        raise ValueError(f"tiou: expected thresholds in (0, 1], got {list(tiou)}")
    return thresholds


def _integers(name: str, values: NDArray[np.generic]) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected a vector, got shape {list(array.shape)}")
    if len(array) and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name}: expected integers, got {array.dtype}")
    return array.astype(np.int64, copy=False)


def _floats(name: str, values: NDArray[np.generic], shape: tuple[int, ...]) -> Floats:
    array = np.asarray(values)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {list(shape)}, got {list(array.shape)}")
    if len(array) and array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected numbers, got {array.dtype}")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: row {np.argwhere(~np.isfinite(array))[0][0]} is not finite")
    return array


def _check_rows(name: str, values: Ints, rows: int) -> None:
    if len(values) != rows:
        raise ValueError(f"{name}: has {len(values)} rows, video has {rows}")
