"""Non-maximum suppression of temporal segments (Hier-EgoPack, arXiv 2502.02487; soft-NMS: arXiv 1704.04503)."""

from __future__ import annotations

from dataclasses import dataclass

import egopack_native
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Detections:
    """Segments of one video, best score first: `segments` [M, 2] in seconds, `scores` [M], `labels` int64 [M]."""

    segments: Tensor
    scores: Tensor
    labels: Tensor


def suppress(
    segments: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    method: str = "gaussian",
    iou_threshold: float = 0.1,
    sigma: float = 2.0,
    min_score: float = 0.001,
    max_segments: int = 2000,
    per_class: bool = True,
    voting_threshold: float | None = None,
) -> Detections:
    """Keep the best segments of one video and decay or suppress those that overlap them.

    The best remaining segment is kept, again and again; what overlaps it loses score by exp(-IoU^2 / sigma)
    (`gaussian`) or is dropped if IoU >= iou_threshold (`hard`), and scores below `min_score` are dropped. Of equal
    scores the earlier row is the better. IoU is computed in float32 with 1e-6 s added to every length.

    Args:
        segments: float [N, 2], start and end in seconds, start <= end.
        scores: float [N].
        labels: integer [N]. With `per_class` only segments of one label meet.
        max_segments: how many to keep, over all classes.
        voting_threshold: each kept segment becomes the mean of all input segments, of any label, with at least this
            IoU, weighted by original score * IoU. Needs `per_class=False`.

    Returns:
        Detections on the device of the input and in its floating types.

    Raises:
        TypeError: an argument has another dtype. ValueError: another shape, a value that is not finite, a bad setting.
    """
    for name, tensor in (("segments", segments), ("scores", scores)):
        if not tensor.is_floating_point():
            raise TypeError(f"{name}: expected a floating type, got {tensor.dtype}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"labels: expected integers, got {labels.dtype}")
    if voting_threshold is not None and per_class:
        raise ValueError("voting_threshold: segment voting mixes labels and needs per_class=False")
    boxes = segments.detach().to("cpu", torch.float32).numpy()
    weights = scores.detach().to("cpu", torch.float32).numpy()
    classes = labels.detach().to("cpu", torch.int64).numpy()
    rows, decayed = egopack_native.nms(
        boxes, weights, classes, method, iou_threshold, sigma, min_score, max_segments, per_class
    )
    kept = torch.from_numpy(rows).to(segments.device)
    if voting_threshold is None:
        best = segments.detach()[kept]
    else:
        best = torch.from_numpy(egopack_native.vote(boxes, weights, rows, voting_threshold)).to(segments)
    return Detections(best, torch.from_numpy(decayed).to(scores), labels[kept.to(labels.device)].long())
