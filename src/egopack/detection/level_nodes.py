"""What the nodes of a pyramid say of segments: one candidate for each likely class of each node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from egopack.data.batch import Batch

LevelNodes = tuple[Tensor, Tensor, Tensor, float]  # probabilities [n, C], offsets [n, 2], positions [n], extent


def nodes_of_videos(probability: Tensor, offsets: Tensor, batch: Batch) -> list[list[LevelNodes]]:
    """The nodes of each video, level by level, out of those of the whole pyramid [N, C] and [N, 2]."""
    videos: list[list[LevelNodes]] = [[] for _ in batch.pyramid[0].lengths]
    sizes = [length for level in batch.pyramid for length in level.lengths]
    parts = zip(probability.split(sizes), offsets.split(sizes), strict=True)
    for level in batch.pyramid:
        for video, pos in zip(videos, level.pos.cpu().split(list(level.lengths)), strict=True):
            video.append((*next(parts), pos, level.extent))
    return videos


def segments_of_nodes(
    nodes: Sequence[LevelNodes], min_probability: float, top_per_level: int, min_duration_s: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Segments [M, 2] in seconds, scores [M] and labels [M] of one video: of each level the `top_per_level` likeliest
    pairs of a node and a class above `min_probability`, without segments that are not longer than `min_duration_s`.
    """
    segments, scores, labels = [], [], []
    for probability, offsets, pos, extent in nodes:  # in numpy, whose calls stay in the thread that makes them
        flat, classes = probability.numpy().ravel(), probability.shape[1]
        chosen = np.flatnonzero(flat > min_probability)
        if len(chosen) > top_per_level:
            # not argpartition, whose choice among equal scores depends on the processor
            least = -np.partition(-flat[chosen], top_per_level - 1)[top_per_level - 1]
            chosen = chosen[flat[chosen] >= least]
            chosen = chosen[np.argsort(-flat[chosen], kind="stable")][:top_per_level]
        node, label = np.divmod(chosen, classes)
        center, reach = pos.numpy()[node], offsets.numpy()[node] * np.float32(extent)
        segment = np.stack([center - reach[:, 0], center + reach[:, 1]], axis=1)
        keep = segment[:, 1] - segment[:, 0] > min_duration_s
        segments.append(segment[keep])
        scores.append(flat[chosen[keep]])
        labels.append(label[keep])
    first, second, third = (torch.from_numpy(np.concatenate(column)) for column in (segments, scores, labels))
    return first, second, third
