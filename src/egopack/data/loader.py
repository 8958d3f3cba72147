"""Batches of a task's samples, in an order that is a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from egopack.data.batch import Batch, collate
from egopack.data.samples import Sample

Augment = Callable[[Sample, np.random.Generator], Sample]


class FeatureRows(Protocol):
    """Where feature rows come from: `rows(uid, index [n])` gives [n, D]."""

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray: ...


class Loader:
    """Batches of `batch_size` samples; the last one of an epoch may be smaller.

    With `augment`, epochs are shuffled and each sample is augmented anew, both by generators of (seed, epoch), so that
    any epoch can be had again without those before it. Without, every epoch is the samples in their order.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        features: FeatureRows,
        *,
        batch_size: int,
        levels: int,
        radius_s: float,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        self.samples, self.features, self.batch_size = samples, features, batch_size
        self.levels, self.radius_s, self.seed, self.augment = levels, radius_s, seed, augment
        self.rank, self.world = 0, 1
        self.device = torch.device("cpu")

    def on(self, device: torch.device) -> Loader:
        """A loader of the same batches, on another device: each is sent there while the one before it is used."""
        loader = copy(self)
        loader.device = device
        return loader

    def part(self, rank: int, world: int) -> Loader:
        """A loader of the same batches, of each of which it makes what falls to this rank."""
        loader = copy(self)
        loader.rank, loader.world = rank, world
        return loader

    def __len__(self) -> int:
        return -(-len(self.samples) // self.batch_size)

    def chosen(self, epoch: int) -> list[list[Sample]]:
        """The samples of each batch of an epoch, before they are augmented."""
        order = np.arange(len(self.samples))
        if self.augment is not None:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        starts = range(0, len(order), self.batch_size)
        return [[self.samples[index] for index in order[start : start + self.batch_size]] for start in starts]

    def batch(self, epoch: int, index: int, chosen: Sequence[Sample]) -> Batch:
        """Batch `index` of an epoch, of the samples `chosen` for it: this rank's part.

        Where there are fewer samples than ranks, one that none falls to makes the first of them, not as its own.
        """
        if self.augment is not None:
            # not `index`: to numpy [seed, epoch, 0] is [seed, epoch], the stream that shuffles
            generator = np.random.default_rng([self.seed, epoch, 1 + index])
            chosen = [self.augment(sample, generator) for sample in chosen]
        first, last = (len(chosen) * rank // self.world for rank in (self.rank, self.rank + 1))
        part = chosen[first:last] or chosen[:1]
        rows = [self.features.rows(sample.video_uid, sample.rows) for sample in part]
        batch = collate(part, rows, levels=self.levels, radius_s=self.radius_s).to(self.device)
        return batch if first < last else replace(batch, own=False)

    def epoch(self, epoch: int = 0, first: int = 0, every: int = 1) -> Iterator[tuple[Batch, list[Sample]]]:
        """Batch number `first` and every so manieth after it, each with the samples chosen for it; the next one is made
        while this one is used.
        """
        plan = list(enumerate(self.chosen(epoch)))[first::every]
        with ThreadPoolExecutor(max_workers=1) as ahead:
            coming = ahead.submit(self.batch, epoch, *plan[0]) if plan else None
            for turn, (_, chosen) in enumerate(plan, start=1):
                assert coming is not None
                batch = coming.result()
                if turn < len(plan):
                    coming = ahead.submit(self.batch, epoch, *plan[turn])
                yield batch, chosen

    def forever(self, first: int = 0) -> Generator[Batch, None, None]:
        """Batches of epoch 0, 1, 2, ... without an end, those before number `first` left out."""
        epoch, index = divmod(first, len(self))
        while True:
            for batch, _ in self.epoch(epoch, index):
                yield batch
            epoch, index = epoch + 1, 0
