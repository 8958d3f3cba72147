"""From node positions to a pyramid of radius graphs: pure index arithmetic on the host.

Nodes of all videos stand in one table, video by video and by time within a video. Everything that depends on the
positions alone (edges, distinct distances, pooling weights) is computed here once per batch, so that a training step on
an accelerator never waits for the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from egopack.data.moving import move
from egopack.data.sparse import Groups, Sparse, selection, sparse

Pool = Literal["mean", "max", "subsample"]
MOST_ROWS_AN_EDGE = 2  # of a table with a row for each node and distance
DISTANCE_RESOLUTION_S = 1e-6  # distances closer than this share one evaluation of the gate


@dataclass(frozen=True)
class EdgeSums:
    """`Edges` for the portable path, as what the signed mean over the neighbors adds up.

    On a regular grid `table` [N, U * N]: column u * N + j is node j at distance u; `distances` [U] are fewer than those
    of the edges, since those that only the rounding of positions tells apart are one. Elsewhere, where there are more
    distances than neighbors, each edge has a row of its own: `ends` [N, E], `source` [E, N] and `distance` [E, U].
    """

    distances: Tensor
    table: Sparse | None
    ends: Sparse | None
    source: Sparse | None
    distance: Sparse | None


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
    rounding: float = 0.0  # seconds by which a difference of positions may be off
    sums: EdgeSums | None = None

    def prepared(self) -> Edges:
        """With what the portable path needs."""
        return self if self.sums is not None else self._prepared

    @cached_property
    def _prepared(self) -> Edges:
        source, target, distance = (one.cpu().numpy() for one in (self.source, self.target, self.distance_id))
        nodes, edges, exact = len(self.degree), len(source), self.distances.cpu().numpy()
        weight = self.sign.cpu().numpy() / np.maximum(self.degree.cpu().numpy(), 1)[target]
        few, merged = merge_distances(exact, self.rounding)
        if len(few) * nodes <= MOST_ROWS_AN_EDGE * edges:
            table = sparse(target, merged[distance] * nodes + source, weight, (nodes, len(few) * nodes))
            sums = EdgeSums(torch.from_numpy(few), table, None, None, None)
        else:
            ends = sparse(target, np.arange(edges), weight, (nodes, edges))
            selections = selection(source, nodes), selection(distance, len(exact))
            sums = EdgeSums(self.distances, None, ends, *selections)
        return replace(self, sums=move(sums, self.source.device))


@dataclass(frozen=True)
class PoolingSums:
    """`Pooling` for the portable path: the weighted mean [N_next, N]; left, center and right nodes [3 N_next, N]."""

    mean: Sparse
    three: Sparse


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
    nodes: int  # N, of the level below
    sums: PoolingSums | None = None

    def prepared(self) -> Pooling:
        """With what the portable path needs."""
        if self.sums is not None:
            return self
        parts = [one.cpu().numpy() for one in (self.left, self.center, self.right)]
        left, right = self.left_weight.cpu().numpy(), self.right_weight.cpu().numpy()
        row, column = np.tile(np.arange(len(parts[0])), 3), np.concatenate(parts)
        weight = np.concatenate([left, np.full_like(left, 2), right]) / np.tile(left + 2 + right, 3)
        order = np.argsort(row, kind="stable")
        order = order[weight[order] > 0]
        sums = PoolingSums(
            mean=sparse(row[order], column[order], weight[order], (len(parts[0]), self.nodes)),
            three=selection(column, self.nodes),
        )
        return replace(self, sums=move(sums, self.center.device))


@dataclass(frozen=True)
class Level:
    """Nodes of one level. `pos` [N] seconds, `videos` which of the videos each is of, `lengths` nodes of each video;
    `pooling` leads to the next level.
    """

    index: int
    extent: float  # seconds that a unit of offset stands for: 2^index
    lengths: tuple[int, ...]
    pos: Tensor
    videos: Groups
    edges: Edges
    pooling: Pooling | None

    @property
    def video(self) -> Tensor:
        """Index of the video [N] that each node is of."""
        return self.videos.owner


Pyramid = tuple[Level, ...]


@dataclass(frozen=True)
class Joined:
    """The nodes of all levels, level by level: seconds [N], seconds of a unit of offset [N], and which of the videos
    and which of the levels each is of.
    """

    pos: Tensor
    extent: Tensor
    videos: Groups
    levels: Groups


def join(pyramid: Pyramid) -> Joined:
    """The nodes of all levels in one table."""
    level = torch.cat([torch.full_like(one.video, index) for index, one in enumerate(pyramid)])
    return Joined(
        pos=torch.cat([one.pos for one in pyramid]),
        extent=torch.cat([torch.full_like(one.pos, one.extent) for one in pyramid]),
        videos=Groups(torch.cat([one.video for one in pyramid]), len(pyramid[0].lengths)),
        levels=Groups(level, len(pyramid)),
    )


def radius_edges(pos: np.ndarray, lengths: Sequence[int], radius: float) -> Edges:
    """All pairs of different nodes of one video with |p_i - p_j| <= radius. `pos` [N] must not decrease inside a video.

    One dimension needs no spatial index: the neighbors of a node are a contiguous range, found with searchsorted.
    """
    # whole ticks, so that i is a neighbor of j exactly when j is one of i
    ticks = np.round(pos.astype(np.float64) / DISTANCE_RESOLUTION_S).astype(np.int64)
    first = np.empty(len(pos), dtype=np.int64)
    last = np.empty(len(pos), dtype=np.int64)
    # a neighbor at exactly the radius counts, however its float32 position was rounded
    rounding = 1 + int(ticks.max(initial=0) * 2.0**-22)
    reach = round(radius / DISTANCE_RESOLUTION_S) + rounding
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
        rounding=rounding * DISTANCE_RESOLUTION_S,
    )


def merge_distances(distances: np.ndarray, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Means of the distances [U], ascending, that lie within `rounding` of the first of them, and which of these means
    stands for each [U].
    """
    which, first = np.zeros(len(distances), dtype=np.int64), -np.inf
    count = -1
    for index, distance in enumerate(distances.tolist()):
        if distance - first > rounding:
            first, count = distance, count + 1
        which[index] = count
    total = np.bincount(which, distances.astype(np.float64), minlength=count + 1)
    return (total / np.bincount(which, minlength=count + 1)).astype(np.float32), which


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
        nodes=start,
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
                videos=Groups(torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)), len(lengths)),
                edges=radius_edges(pos, lengths, radius_s * extent),
                pooling=pooling,
            )
        )
        if pooling is not None:
            pos = pos[pooling.center.numpy()]
            lengths = tuple((length + 1) // 2 for length in lengths)
    return tuple(built)
