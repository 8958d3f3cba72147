"""Which ground-truth segment each node of a pyramid answers for (section 4 of the method, MQ targets)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from egopack.data.pyramid import Joined, Pyramid
from egopack.nn.sums import is_compiled

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
    pyramid: Pyramid, nodes: Joined, segments: Tensor, labels: Tensor, places: Tensor, classes: int
) -> NodeTargets:
    """Targets of the `nodes` of all levels from the segments [S, 2] (seconds) and classes [S] of all videos; `places`
    [videos, most] are those of each, S where there is none.

    Of the segments that a node is eligible for the shortest is regressed; its classes are those of all eligible ones
    as short as that.
    """
    pos, extent = nodes.pos[:, None], nodes.extent[:, None]
    if not places.shape[1]:
        positive = torch.zeros_like(nodes.pos, dtype=torch.bool)
        return NodeTargets(positive, pos.new_zeros(len(pos), 2), pos.new_zeros(len(pos), classes))
    limits = node_ranges(pyramid)
    low = torch.where(nodes.levels.owner == 0, limits[0][0], nodes.extent)[:, None]
    high = torch.where(nodes.levels.owner == len(limits) - 1, LARGEST_S, 4 * nodes.extent)[:, None]
    # no node is inside of a segment of length 0
    own = places[nodes.videos.owner]
    start, end = F.pad(segments.to(pos.dtype), (0, 0, 0, 1))[own].unbind(-1)  # (N, most)
    left, right = pos - start, end - pos
    reach = torch.maximum(left, right)
    eligible = (torch.minimum(left, right) > 0) & (reach >= low) & (reach <= high)
    length = torch.where(eligible, end - start, torch.inf)
    shortest, chosen = length.min(dim=1, keepdim=True)
    as_short = eligible & (length <= shortest + SAME_LENGTH_S)
    label = F.pad(labels, (0, 1))[own]
    if is_compiled(pos):
        one_hot = pos.new_zeros(len(pos), classes).scatter_reduce(1, label, as_short.to(pos.dtype), "amax")
    else:
        is_class = label[:, :, None] == torch.arange(classes, device=label.device)
        one_hot = (is_class & as_short[:, :, None]).any(dim=1).to(pos.dtype)
    offsets = torch.cat([left.gather(1, chosen), right.gather(1, chosen)], dim=1) / extent
    positive = eligible.any(dim=1)
    return NodeTargets(positive, torch.where(positive[:, None], offsets, 0.0), one_hot)
