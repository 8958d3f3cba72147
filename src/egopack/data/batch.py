"""Ragged batches: the nodes and targets of several samples in one table each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from egopack.data.pyramid import Pyramid, build_pyramid
from egopack.data.samples import Sample

Moved = TypeVar("Moved")


def _alone(count: Tensor) -> Tensor:
    return count


@dataclass(frozen=True)
class SegmentNodes:
    """The nodes inside every segment: those from `first` [S] up to, without it, `last` [S]; `total` counts them all."""

    first: Tensor
    last: Tensor
    total: int


@dataclass(frozen=True)
class Batch:
    """Samples side by side.

    `x` [N, D] features; `pyramid` the graphs over the N nodes; `targets` each [sum of counts, ...], concatenated in
    sample order; `counts` how many rows of each target are each sample's;
    `segment_nodes` the nodes in each of their segments, if they have any. Unless `own`, another rank computes these
    samples too and they count there. `total(count)` is a count over the whole batch, however many ranks have a part of
    it: the count itself where nobody else has.
    """

    keys: tuple[str, ...]
    x: Tensor
    pyramid: Pyramid
    targets: dict[str, Tensor]
    counts: dict[str, tuple[int, ...]]
    segment_nodes: SegmentNodes | None
    own: bool = True
    total: Callable[[Tensor], Tensor] = _alone

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

    def to(self, device: torch.device | str) -> Batch:
        return move(self, device)


def move(value: Moved, device: torch.device | str) -> Moved:
    """The same nested dataclasses, tuples and dicts with every tensor on `device`."""
    out: Any = value
    if isinstance(value, Tensor):
        out = value.to(device, non_blocking=True)
    elif isinstance(value, dict):
        out = {name: move(item, device) for name, item in value.items()}
    elif isinstance(value, tuple):
        out = tuple(move(item, device) for item in value)
    elif is_dataclass(value) and not isinstance(value, type):
        out = replace(value, **{field.name: move(getattr(value, field.name), device) for field in fields(value)})
    return out


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
    return SegmentNodes(torch.from_numpy(first), torch.from_numpy(last), int((last - first).sum()))


def collate(samples: Sequence[Sample], features: Sequence[np.ndarray], *, levels: int, radius_s: float) -> Batch:
    """One batch of samples and their feature rows [n, D], with the pyramid of `levels` graphs over their nodes."""
    lengths = [len(sample.pos) for sample in samples]
    targets = {
        name: torch.from_numpy(np.concatenate([sample.targets[name] for sample in samples]))
        for name in samples[0].targets
    }
    counts = {name: tuple(len(sample.targets[name]) for sample in samples) for name in targets}
    segments = [sample.segments for sample in samples if sample.segments is not None]
    x = np.concatenate(features)
    return Batch(
        keys=tuple(sample.key for sample in samples),
        x=torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)),
        pyramid=build_pyramid(
            np.concatenate([sample.pos for sample in samples]), lengths, levels=levels, radius_s=radius_s
        ),
        targets=targets,
        counts=counts,
        segment_nodes=nodes_in_segments([sample.pos for sample in samples], segments) if segments else None,
    )
