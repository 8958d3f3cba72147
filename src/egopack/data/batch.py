"""Ragged batches: the nodes and targets of several samples in one table each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from egopack.data.moving import move, prepared, send
from egopack.data.pyramid import Joined, Pyramid, build_pyramid, join
from egopack.data.samples import Sample
from egopack.data.sparse import Sparse, range_means

PYRAMIDS = 32  # that are kept for batches to come


def _alone(count: Tensor) -> Tensor:
    return count


@dataclass(frozen=True)
class GraphKey:
    """All that a pyramid is built of; batches of videos of the same lengths have the same."""

    pos: bytes
    dtype: str
    lengths: tuple[int, ...]
    levels: int
    radius_s: float


@dataclass(frozen=True)
class SegmentNodes:
    """The nodes inside every segment: those from `first` [S] up to, without it, `last` [S], of a table of `nodes`."""

    first: Tensor
    last: Tensor
    nodes: int
    means: Sparse | None = None  # [S, N], for the portable path

    def prepared(self) -> SegmentNodes:
        """With what the portable path needs."""
        if self.means is not None:
            return self
        means = range_means(self.first.cpu().numpy(), self.last.cpu().numpy(), self.nodes)
        return replace(self, means=move(means, self.first.device))


@dataclass(frozen=True)
class Batch:
    """Samples side by side.

    `x` [N, D] features; `pyramid` the graphs over the N nodes; `targets` each [sum of counts, ...], concatenated in
    sample order; `counts` how many rows of each target are each sample's;
    `segment_nodes` the nodes in each of their segments, if they have any. Unless `own`, another rank computes these
    samples too and they count there. `total(count)` is a count over the whole batch, however many ranks have a part of
    it: the count itself where nobody else has. `joined` and `padded` are what `nodes` and `places` give, where they
    are already there.
    """

    keys: tuple[str, ...]
    x: Tensor
    pyramid: Pyramid
    targets: dict[str, Tensor]
    counts: dict[str, tuple[int, ...]]
    segment_nodes: SegmentNodes | None
    own: bool = True
    total: Callable[[Tensor], Tensor] = _alone
    joined: Joined | None = None
    padded: dict[str, Tensor] | None = None
    graphs: GraphKey | None = None  # what the pyramid was built of

    def __len__(self) -> int:
        return len(self.keys)

    def share(self, rows: Tensor) -> Tensor:
        """How much of the whole batch's rows these [N, ...] are, a scalar. The mean over the rows here, times their
        share, is what they add to the mean over the whole batch. 0 where the whole batch has none.
        """
        own = torch.full((), float(len(rows)), device=rows.device)
        return own / self.total(own).clamp(min=1)

    def owner(self, target: str) -> Tensor:
        """Index of the sample that each row of a target belongs to."""
        counts = self.counts[target]
        device = self.targets[target].device
        repeats = torch.tensor(counts, device=device)
        return torch.repeat_interleave(torch.arange(len(counts), device=device), repeats, output_size=sum(counts))

    def nodes(self) -> Joined:
        """The nodes of all levels."""
        return self.joined or join(self.pyramid)

    def places(self, target: str) -> Tensor:
        """Which rows of a target are each sample's [samples, most]; where one has fewer, the number of all rows."""
        return places_of(self.counts[target]) if self.padded is None else self.padded[target]

    def ready(self) -> Batch:
        """With all that the portable path needs, which is made on the host."""
        places = {name: self.places(name) for name in self.counts}
        return prepared(replace(self, joined=self.nodes(), padded=places))

    def to(self, device: torch.device | str) -> Batch:
        """On another device, where the portable path computes: in one transfer, and one for a pyramid that is new."""
        if torch.device(device).type == self.x.device.type:
            return self
        if self.graphs is None:
            return send(self.ready(), device)
        pyramid, joined = _sent_graphs(self.graphs, str(device))
        others = prepared(
            replace(self, pyramid=(), joined=None, padded={name: self.places(name) for name in self.counts})
        )
        return replace(send(others, device), pyramid=pyramid, joined=joined)


@lru_cache(maxsize=PYRAMIDS)
def _graphs(key: GraphKey) -> Pyramid:
    pos = np.frombuffer(key.pos, dtype=key.dtype)
    return build_pyramid(pos, key.lengths, levels=key.levels, radius_s=key.radius_s)


@lru_cache(maxsize=PYRAMIDS)
def _sent_graphs(key: GraphKey, device: str) -> tuple[Pyramid, Joined]:
    pyramid = _graphs(key)
    return send(prepared((pyramid, join(pyramid))), device)


def places_of(counts: Sequence[int]) -> Tensor:
    """Of rows that stand one after the other, so many of each sample, those of each [samples, most]; where a sample has
    fewer than most, the number of all rows.
    """
    place = np.arange(max(counts, default=0))[None]
    own = np.asarray(counts)[:, None]
    return torch.from_numpy(np.where(place < own, np.cumsum(counts)[:, None] - own + place, sum(counts)))


def nodes_in_segments(pos: Sequence[np.ndarray], segments: Sequence[np.ndarray]) -> SegmentNodes:
    """Nodes with start <= p <= end, for the segments [S_b, 2] of every sample b over its own positions [N_b]."""
    first_parts, last_parts = [], []
    base = 0
    for own, wanted in zip(pos, segments, strict=True):
        low = np.searchsorted(own, wanted[:, 0], side="left")
        high = np.searchsorted(own, wanted[:, 1], side="right")
        first_parts.append(base + low)
        last_parts.append(base + np.maximum(low, high))
        base += len(own)
    first, last = np.concatenate(first_parts), np.concatenate(last_parts)
    return SegmentNodes(torch.from_numpy(first), torch.from_numpy(last), base)


def collate(samples: Sequence[Sample], features: Sequence[np.ndarray], *, levels: int, radius_s: float) -> Batch:
    """One batch of samples and their feature rows [n, D], with the pyramid of `levels` graphs over their nodes."""
    lengths = [len(sample.pos) for sample in samples]
    targets = {
        name: torch.from_numpy(np.concatenate([sample.targets[name] for sample in samples]))
        for name in samples[0].targets
    }
    counts = {name: tuple(len(sample.targets[name]) for sample in samples) for name in targets}
    segments = [sample.segments for sample in samples if sample.segments is not None]
    pos, x = np.concatenate([sample.pos for sample in samples]), np.concatenate(features)
    graphs = GraphKey(pos.tobytes(), pos.dtype.str, tuple(lengths), levels, radius_s)
    return Batch(
        keys=tuple(sample.key for sample in samples),
        x=torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)),
        pyramid=_graphs(graphs),
        targets=targets,
        counts=counts,
        segment_nodes=nodes_in_segments([sample.pos for sample in samples], segments) if segments else None,
        graphs=graphs,
    )
