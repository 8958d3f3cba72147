"""The batch of one video on a regular grid, made by torch alone out of tensors of any length, so that it can be traced.

What `egopack.data` makes on the host and of whatever lies where, this makes of rows at even distances: each node has
the same neighbors, and those beyond the video's ends count for nothing. Sizes are asked by `shape`: `len` is a number
at once, to which a program would be bound.
"""

from __future__ import annotations

import torch
from torch import Tensor

from egopack.data.batch import Batch, SegmentNodes
from egopack.data.pyramid import (
    DISTANCE_RESOLUTION_S,
    Edges,
    EdgeSums,
    Joined,
    Level,
    Pooling,
    PoolingSums,
    Pyramid,
)
from egopack.data.sparse import Groups, GroupSums, Rows, Sparse


def regular_batch(
    x: Tensor, pos: Tensor, segments: Tensor | None, *, levels: int, radius_s: float, step_s: float
) -> Batch:
    """One video of rows x [N, D] at `pos` [N] seconds, about `step_s` apart, with what the portable path needs."""
    neighbors = int((radius_s + 2 * DISTANCE_RESOLUTION_S) / step_s)  # of a node on one side, the same on all levels
    pyramid = regular_pyramid(pos, levels, neighbors)
    nodes = None if segments is None else nodes_in(pos, segments)
    return Batch(("video",), x, pyramid, {}, {}, nodes, joined=joined(pyramid))


def regular_pyramid(pos: Tensor, levels: int, neighbors: int) -> Pyramid:
    """Level after level, each of every second node of the one below."""
    built = []
    for index in range(levels):
        pooling = even(pos) if index + 1 < levels else None
        built.append(
            Level(
                index=index,
                extent=2.0**index,
                lengths=(pos.shape[0],),
                pos=pos,
                videos=together(pos),
                edges=edges_of(pos, neighbors),
                pooling=pooling,
            )
        )
        if pooling is not None:
            pos = pos[pooling.center]
    return tuple(built)


def edges_of(pos: Tensor, neighbors: int) -> Edges:
    """So many places on either side of each node; those that there are not are the node itself, with a sign of 0."""
    offset = torch.tensor([k for k in range(-neighbors, neighbors + 1) if k], device=pos.device)
    node = torch.arange(pos.shape[0], device=pos.device)
    place = node[:, None] + offset
    there = (place >= 0) & (place < pos.shape[0])
    place = torch.where(there, place, node[:, None])
    sign = torch.where(there, offset.sign(), 0).to(pos.dtype)
    degree = there.sum(dim=1).to(pos.dtype)
    source, target = place.flatten(), node[:, None].expand_as(place).flatten()
    distances = (pos[source] - pos[target]).abs()
    weight = (sign / degree.clamp(min=1)[:, None]).flatten()
    number = torch.arange(place.shape[0] * place.shape[1], device=pos.device)
    row_start = torch.arange(pos.shape[0] + 1, device=pos.device) * len(offset)
    sums = EdgeSums(distances, None, matrix(row_start, number, weight), pick(source), pick(number))
    return Edges(source, target, sign.flatten(), number, distances, degree, row_start, sums=sums)


def even(pos: Tensor) -> Pooling:
    """Every second node, with its neighbors."""
    center = torch.arange(0, pos.shape[0], 2, device=pos.device)
    left, right = (center - 1).clamp(min=0), (center + 1).clamp(max=pos.shape[0] - 1)
    left_weight, right_weight = (left != center).to(pos.dtype), (right != center).to(pos.dtype)
    column = torch.stack([left, center, right], dim=1)
    weight = torch.stack([left_weight, torch.full_like(left_weight, 2), right_weight], dim=1)
    row_start = torch.arange(center.shape[0] + 1, device=pos.device) * 3
    mean = matrix(row_start, column.flatten(), (weight / weight.sum(dim=1, keepdim=True)).flatten())
    sums = PoolingSums(mean, pick(column.T.flatten()))
    return Pooling(left, center, right, left_weight, right_weight, pos.shape[0], sums)


def together(pos: Tensor) -> Groups:
    """All nodes as one group."""
    number = torch.arange(pos.shape[0], device=pos.device)
    weight = torch.ones_like(pos) / pos.shape[0]
    means = matrix(torch.arange(2, device=pos.device) * pos.shape[0], number, weight)
    owner = torch.zeros_like(number)
    return Groups(owner, 1, GroupSums(means, pick(owner), pick(number)))


def joined(pyramid: Pyramid) -> Joined:
    """The nodes of all levels."""
    pos = torch.cat([level.pos for level in pyramid])
    extent = torch.cat([torch.full_like(level.pos, level.extent) for level in pyramid])
    owner = torch.cat([torch.full_like(level.video, level.index) for level in pyramid])
    everything = together(pos)
    assert everything.sums is not None
    levels = Groups(owner, len(pyramid), GroupSums(everything.sums.means, pick(owner), everything.sums.padded))
    return Joined(pos, extent, everything, levels)


def nodes_in(pos: Tensor, segments: Tensor) -> SegmentNodes:
    """The nodes inside each segment [S, 2]."""
    first = torch.searchsorted(pos, segments[:, 0].contiguous())
    last = torch.searchsorted(pos, segments[:, 1].contiguous(), right=True)
    node = torch.arange(pos.shape[0], device=pos.device)
    inside = ((node >= first[:, None]) & (node < last[:, None])).to(pos.dtype)
    weight = inside / inside.sum(dim=1, keepdim=True).clamp(min=1)
    row_start = torch.arange(segments.shape[0] + 1, device=pos.device) * pos.shape[0]
    return SegmentNodes(
        first, last, pos.shape[0], matrix(row_start, node.expand_as(inside).flatten(), weight.flatten())
    )


def matrix(row_start: Tensor, column: Tensor, weight: Tensor | None) -> Sparse:
    """A matrix to multiply with; no gradient goes through it, so its transpose is not there."""
    rows = Rows(row_start, column, weight)
    return Sparse(rows, rows, column)


def pick(column: Tensor) -> Sparse:
    """What picks these rows."""
    return matrix(torch.arange(column.shape[0] + 1, device=column.device), column, None)
