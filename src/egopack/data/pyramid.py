"""From node positions to a pyramid of radius graphs: pure index arithmetic on the host.

Nodes of all videos stand in one table, video by video and by time within a video. Everything that depends on the
positions alone (edges, distinct distances, pooling weights) is computed here once per batch, so that a training step on
an accelerator never waits for the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Pool = Literal["mean", "max", "subsample"]
DISTANCE_RESOLUTION_S = 1e-6  # distances closer than this share one evaluation of the gate


@dataclass(frozen=True)
class Edges:
    """Radius graph of one level, sorted by target; the reverse of every edge is an edge too.

    Shapes: `source`, `target`, `sign`, `distance_id` [E]; `distances` [U] seconds; `degree` [N].
    """

    source: Tensor  # j
    target: Tensor  # i
    sign: Tensor  # sign(p_j - p_i): -1, 0 or 1
    distance_id: Tensor  # index into distances
    distances: Tensor  # the distinct |p_j - p_i|
    degree: Tensor  # edges that end in each node
    row_start: Tensor  # int64 [N + 1], edges of target i are row_start[i]:row_start[i + 1]


@dataclass(frozen=True)
class Pooling:
    """Nodes i-1, i, i+1 of the kept even i; at the ends of a video the missing neighbor is i itself with weight 0.
    All [N_next].
    """

    left: Tensor
    center: Tensor
    right: Tensor
    left_weight: Tensor
    right_weight: Tensor


@dataclass(frozen=True)
class Level:
    """Nodes of one level. `pos` [N] seconds, `video` [N], `lengths` nodes of each video; `pooling` leads to the next
    level.
    """

    index: int
    extent: float  # seconds that a unit of offset stands for: 2^index
    lengths: tuple[int, ...]
    pos: Tensor
    video: Tensor
    edges: Edges
    pooling: Pooling | None


Pyramid = tuple[Level, ...]


def radius_edges(pos: np.ndarray, lengths: Sequence[int], radius: float) -> Edges:
    """All pairs of different nodes of one video with |p_i - p_j| <= radius. `pos` [N] must not decrease inside a video.

    One dimension needs no spatial index: the neighbors of a node are a contiguous range, found with searchsorted.
    """
    # whole ticks, so that i is a neighbor of j exactly when j is one of i
    ticks = np.round(pos.astype(np.float64) / DISTANCE_RESOLUTION_S).astype(np.int64)
    first = np.empty(len(pos), dtype=np.int64)
    last = np.empty(len(pos), dtype=np.int64)
    # a neighbor at exactly the radius counts, however its float32 position was rounded
    reach = round(radius / DISTANCE_RESOLUTION_S) + 1 + int(ticks.max(initial=0) * 2.0**-22)
    start = 0
    for length in lengths:
        own = ticks[start : start + length]
        first[start : start + length] = start + np.searchsorted(own, own - reach, side="left")
        last[start : start + length] = start + np.searchsorted(own, own + reach, side="right")
        start += length
    counts = last - first
    target = np.repeat(np.arange(len(pos)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    source = first[target] + within
    keep = source != target
    source, target = source[keep], target[keep]
    signed = ticks[source] - ticks[target]
    distances, distance_id = np.unique(np.abs(signed), return_inverse=True)
    row_start = np.concatenate([[0], np.cumsum(counts - 1)])
    return Edges(
        source=torch.from_numpy(source),
        target=torch.from_numpy(target),
        sign=torch.from_numpy(np.sign(signed).astype(np.float32)),
        distance_id=torch.from_numpy(distance_id),
        distances=torch.from_numpy((distances * DISTANCE_RESOLUTION_S).astype(np.float32)),
        degree=torch.from_numpy((counts - 1).astype(np.float32)),
        row_start=torch.from_numpy(row_start),
    )


def even_nodes(lengths: Sequence[int]) -> Pooling:
    """Indices and weights that pool every video to its even nodes: weights 1, 2, 1 over the neighbors that exist."""
    center, left, right = [], [], []
    start = 0
    for length in lengths:
        even = np.arange(0, length, 2)
        center.append(start + even)
        left.append(start + np.maximum(even - 1, 0))
        right.append(start + np.minimum(even + 1, max(length - 1, 0)))
        start += length
    index = [np.concatenate(part) if part else np.zeros(0, np.int64) for part in (left, center, right)]
    return Pooling(
        left=torch.from_numpy(index[0]),
        center=torch.from_numpy(index[1]),
        right=torch.from_numpy(index[2]),
        left_weight=torch.from_numpy((index[0] != index[1]).astype(np.float32)),
        right_weight=torch.from_numpy((index[2] != index[1]).astype(np.float32)),
    )


def build_pyramid(pos: np.ndarray, lengths: Sequence[int], *, levels: int, radius_s: float) -> Pyramid:
    """Levels 0 ... levels-1 over nodes at `pos` [N] seconds; level l has radius `radius_s` * 2^l and every second
    node of level l-1 (section 3).
    """
    built = []
    lengths = tuple(lengths)
    for index in range(levels):
        extent = 2.0**index
        pooling = even_nodes(lengths) if index + 1 < levels else None
        built.append(
            Level(
                index=index,
                extent=extent,
                lengths=lengths,
                pos=torch.from_numpy(pos.astype(np.float32)),
                video=torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)),
                edges=radius_edges(pos, lengths, radius_s * extent),
                pooling=pooling,
            )
        )
        if pooling is not None:
            pos = pos[pooling.center.numpy()]
            lengths = tuple((length + 1) // 2 for length in lengths)
    return tuple(built)
