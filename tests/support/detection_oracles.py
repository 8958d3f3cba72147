"""Plain, slow versions of the detection code, written to be read: what the fast ones must agree with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from egopack.detection.average_precision import Floats, GroundTruth, Predictions

LENGTH = 1e-6  # added to every length in NMS


def nms_iou(one: Tensor, many: Tensor) -> Tensor:
    """IoU of a segment [2] with segments [N, 2], in their own precision."""
    shared = (torch.minimum(one[1], many[:, 1]) - torch.maximum(one[0], many[:, 0]) + LENGTH).clamp(min=0)
    return shared / ((one[1] - one[0] + LENGTH) + (many[:, 1] - many[:, 0] + LENGTH) - shared)


def suppress_class(
    segments: Tensor, scores: Tensor, *, method: str, iou_threshold: float, sigma: float, min_score: float
) -> tuple[list[int], list[float]]:
    """NMS of one class to the end: rows in the order they are kept and their scores at that moment."""
    scores = scores.clone()
    alive = scores >= torch.tensor(min_score, dtype=scores.dtype)
    rows, kept = [], []
    while alive.any():
        best = int((alive & (scores == scores[alive].max())).nonzero()[0])
        rows.append(best)
        kept.append(float(scores[best]))
        alive[best] = False
        overlap = nms_iou(segments[best], segments)
        if method == "hard":
            alive &= overlap < torch.tensor(iou_threshold, dtype=overlap.dtype)
        else:
            scores = torch.where(alive, scores * torch.exp(-(overlap**2) / sigma), scores)
            alive &= scores >= torch.tensor(min_score, dtype=scores.dtype)
    return rows, kept


def suppress(
    segments: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    max_segments: int,
    per_class: bool = True,
    method: str = "gaussian",
    iou_threshold: float = 0.1,
    sigma: float = 2.0,
    min_score: float = 0.001,
) -> tuple[list[int], list[float]]:
    """NMS class by class, then the best of all: rows and scores."""
    found = []
    for label in labels.unique() if per_class else [None]:
        members = (labels == label).nonzero()[:, 0] if per_class else torch.arange(len(labels))
        settings = {"method": method, "iou_threshold": iou_threshold, "sigma": sigma, "min_score": min_score}
        rows, kept = suppress_class(segments[members], scores[members], **settings)
        found += [(-score, int(members[row])) for row, score in zip(rows, kept, strict=True)]
    found = sorted(found)[:max_segments]
    return [row for _, row in found], [-score for score, _ in found]


def vote(segments: Tensor, scores: Tensor, kept: Sequence[int], threshold: float) -> Tensor:
    """Each kept segment as the mean of all segments near it, weighted by score * IoU: [M, 2], float64."""
    voted = []
    for row in kept:
        overlap = nms_iou(segments[row], segments)
        weights = torch.where(overlap >= torch.tensor(threshold, dtype=overlap.dtype), scores * overlap, 0).double()
        mean = (weights[:, None] * segments.double()).sum(0) / weights.sum()
        voted.append(mean if weights.sum() > 0 else segments[row].double())
    return torch.stack(voted) if voted else torch.zeros(0, 2, dtype=torch.float64)


def iou(one: Sequence[float], other: Sequence[float]) -> float:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared / ((other[1] - other[0]) + (one[1] - one[0]) - shared) if shared > 0 else 0.0


def class_average_precision(truth: GroundTruth, predictions: Predictions, label: int, tiou: float) -> float:
    """Walk down the ranking of one class, then integrate the precision envelope over recall."""
    free = [g for g in range(len(truth.labels)) if truth.labels[g] == label]
    positives, hits = len(free), []
    ranking = [p for p in np.argsort(-predictions.scores, kind="stable") if predictions.labels[p] == label]
    for p in ranking:
        overlaps = [
            (iou(predictions.segments[p], truth.segments[g]), -g)
            for g in free
            if truth.video[g] == predictions.video[p]
        ]
        overlap, row = max(overlaps, default=(0.0, 0))
        hits.append(overlap >= tiou)
        if hits[-1]:
            free.remove(-row)
    area = 0.0
    for place, hit in enumerate(hits):
        if hit:
            area += max(sum(hits[: end + 1]) / (end + 1) for end in range(place, len(hits))) / positives
    return area


def average_precision(truth: GroundTruth, predictions: Predictions, tiou: Sequence[float]) -> Floats:
    labels = sorted(set(truth.labels.tolist()))
    table = [[class_average_precision(truth, predictions, label, t) for label in labels] for t in tiou]
    return np.array(table, dtype=np.float64).reshape(len(tiou), len(labels))


def is_recalled(truth: GroundTruth, predictions: Predictions, row: int, tiou: float, top: int, strict: bool) -> bool:
    """Whether one of the top * n best of its class in its video overlaps ground truth `row`."""
    video, label = truth.video[row], truth.labels[row]
    count = int(((truth.video == video) & (truth.labels == label)).sum())
    ranking = [
        p
        for p in np.argsort(-predictions.scores, kind="stable")
        if predictions.video[p] == video and predictions.labels[p] == label
    ]
    overlaps = [iou(predictions.segments[p], truth.segments[row]) for p in ranking[: top * count]]
    return any(overlap > tiou if strict else overlap >= tiou for overlap in overlaps)


def recall(
    truth: GroundTruth, predictions: Predictions, tiou: Sequence[float], top: Sequence[int], pooled: bool
) -> Floats:
    """Recall@kx, [tIoU, k]: pooled over instances with IoU > t, or averaged over classes with IoU >= t."""
    table = np.full((len(tiou), len(top)), math.nan)
    for i, t in enumerate(tiou):
        for j, k in enumerate(top):
            found = np.array([is_recalled(truth, predictions, g, t, k, pooled) for g in range(len(truth.labels))])
            if not len(found):
                continue
            shares = [found[truth.labels == label].mean() for label in np.unique(truth.labels)]
            table[i, j] = found.mean() if pooled else np.mean(shares)
    return table
