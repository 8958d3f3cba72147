"""Which ground-truth segment each node of a pyramid answers for (section 4 of the method, MQ targets)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from egopack.data.pyramid import Joined, Pyramid
from egopack.nn.sums import is_compiled

LARGEST_S = 10_000.0  # the highest level takes all that is longer
SAME_LENGTH_S = 1e-3
AT_ONCE = 1 << 22  # pairs of a node and a segment; usual clips have fewer
PART = 512  # nodes that are looked at together where there are more


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
    as short as that. Clips of hours, with thousands of segments, are taken part by part, each with the segments that
    reach into it, so that memory does not grow as nodes times segments.
    """
    if not places.shape[1]:
        return _none(nodes.pos, classes)
    limits = node_ranges(pyramid)
    low = torch.where(nodes.levels.owner == 0, limits[0][0], nodes.extent)
    high = torch.where(nodes.levels.owner == len(limits) - 1, LARGEST_S, 4 * nodes.extent)
    table = torch.stack([nodes.pos, nodes.extent, low, high])
    segments = segments.to(nodes.pos.dtype)
    # no node is inside of a segment of length 0
    bounds, ids = F.pad(segments, (0, 0, 0, 1)), F.pad(labels, (0, 1))
    if len(nodes.pos) * places.shape[1] <= AT_ONCE:
        own = places[nodes.videos.owner]
        return _answers(table, bounds[own], ids[own], classes)
    parts = []
    for first, last, video in _parts(pyramid):
        own = places[video][places[video] < len(segments)]
        near = own[(segments[own, 1] > nodes.pos[first]) & (segments[own, 0] < nodes.pos[last - 1])]
        count = last - first
        found = bounds[near].expand(count, -1, -1), ids[near].expand(count, -1)
        parts.append(_answers(table[:, first:last], *found, classes))
    columns = zip(*((part.positive, part.offsets, part.classes) for part in parts), strict=True)
    return NodeTargets(*(torch.cat(column) for column in columns))


def _parts(pyramid: Pyramid) -> Iterator[tuple[int, int, int]]:
    """At most PART nodes of one level of one video each: the first of them, the one after the last, and the video."""
    start = 0
    for level in pyramid:
        for video, length in enumerate(level.lengths):
            yield from ((start + k, start + min(k + PART, length), video) for k in range(0, length, PART))
            start += length


def _none(pos: Tensor, classes: int) -> NodeTargets:
    """Of nodes [N] that answer for nothing."""
    return NodeTargets(
        torch.zeros_like(pos, dtype=torch.bool), pos.new_zeros(len(pos), 2), pos.new_zeros(len(pos), classes)
    )


def _answers(table: Tensor, bounds: Tensor, label: Tensor, classes: int) -> NodeTargets:
    """Targets of N nodes, `table` [4, N] of their positions, extents, least and largest reach, each with as many
    segments: `bounds` [N, most, 2], `label` [N, most].
    """
    if not label.shape[1]:
        return _none(table[0], classes)
    pos, extent, low, high = table[:, :, None]
    start, end = bounds.unbind(-1)
    left, right = pos - start, end - pos
    reach = torch.maximum(left, right)
    eligible = (torch.minimum(left, right) > 0) & (reach >= low) & (reach <= high)
    length = torch.where(eligible, end - start, torch.inf)
    shortest, chosen = length.min(dim=1, keepdim=True)
    as_short = eligible & (length <= shortest + SAME_LENGTH_S)
    if is_compiled(pos):
        one_hot = pos.new_zeros(len(pos), classes).scatter_reduce(1, label, as_short.to(pos.dtype), "amax")
    else:
        is_class = label[:, :, None] == torch.arange(classes, device=label.device)
        one_hot = (is_class & as_short[:, :, None]).any(dim=1).to(pos.dtype)
    offsets = torch.cat([left.gather(1, chosen), right.gather(1, chosen)], dim=1) / extent
    positive = eligible.any(dim=1)
    return NodeTargets(positive, torch.where(positive[:, None], offsets, 0.0), one_hot)
