"""Which ground-truth segment each node of a pyramid answers for (section 4 of the method, MQ targets)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from egopack.data.pyramid import Pyramid

LARGEST_S = 10_000.0  # the highest level takes all that is longer
SAME_LENGTH_S = 1e-3


@dataclass(frozen=True)
class NodeTargets:
    """Of the N nodes of all levels: `positive` [N] bool, `offsets` [N, 2] in units of 2^level seconds, `classes` [N,
    C] in {0, 1}.
    """

    positive: Tensor
    offsets: Tensor
    classes: Tensor


def node_ranges(pyramid: Pyramid) -> list[tuple[float, float]]:
    """For each level the largest distance to a boundary that it answers for, in seconds: [2^l, 2^(l+2)], open at both
    ends of the pyramid.
    """
    last = len(pyramid) - 1
    return [
        (0.0 if level.index == 0 else level.extent, LARGEST_S if index == last else 4 * level.extent)
        for index, level in enumerate(pyramid)
    ]


def assign_targets(
    pyramid: Pyramid, segments: Tensor, labels: Tensor, counts: Sequence[int], classes: int
) -> NodeTargets:
    """Targets of all nodes from the segments [S, 2] (seconds) and classes [S] of all videos, `counts` of them in each.

    Of the segments that a node is eligible for the shortest is regressed; its classes are those of all eligible ones
    as short as that.
    """
    pos = torch.cat([level.pos for level in pyramid])
    video = torch.cat([level.video for level in pyramid])
    parts = [(level, *limits) for level, limits in zip(pyramid, node_ranges(pyramid), strict=True)]
    extent = torch.cat([torch.full_like(level.pos, level.extent) for level, _, _ in parts])
    low = torch.cat([torch.full_like(level.pos, limit) for level, limit, _ in parts])
    high = torch.cat([torch.full_like(level.pos, limit) for level, _, limit in parts])
    most = max(counts, default=0)
    if not most:
        return NodeTargets(
            torch.zeros_like(video, dtype=torch.bool),
            torch.zeros(len(pos), 2, device=pos.device),
            pos.new_zeros(len(pos), classes),
        )
    # one row of segments a video, padded with segments of length 0 that no node is inside of
    column = torch.cat([torch.arange(count) for count in counts]).to(pos.device)
    row = torch.cat([torch.full((count,), index) for index, count in enumerate(counts)]).to(pos.device)
    table = pos.new_zeros(len(counts), most, 2)
    table[row, column] = segments.to(pos.dtype)
    label = torch.zeros(len(counts), most, dtype=torch.int64, device=pos.device)
    label[row, column] = labels
    start, end = table[video].unbind(-1)  # (N, S_max)
    left, right = pos[:, None] - start, end - pos[:, None]
    reach = torch.maximum(left, right)
    eligible = (torch.minimum(left, right) > 0) & (reach >= low[:, None]) & (reach <= high[:, None])
    length = torch.where(eligible, end - start, torch.inf)
    shortest, chosen = length.min(dim=1, keepdim=True)
    as_short = eligible & (length <= shortest + SAME_LENGTH_S)
    one_hot = pos.new_zeros(len(pos), classes).scatter_reduce(1, label[video], as_short.to(pos.dtype), "amax")
    offsets = torch.cat([left.gather(1, chosen), right.gather(1, chosen)], dim=1) / extent[:, None]
    positive = eligible.any(dim=1)
    return NodeTargets(positive, torch.where(positive[:, None], offsets, 0.0), one_hot)
