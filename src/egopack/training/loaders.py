"""What each regime trains on: samples, batch sizes, loaders (section 5 of the method)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from egopack.data.loader import FeatureRows, Loader
from egopack.data.samples import Sample
from egopack.params import TaskParams
from egopack.tasks.base import load_task


def train_loader(
    name: str,
    params: TaskParams,
    samples: Sequence[Sample],
    features: FeatureRows,
    *,
    batch_size: int,
    radius_s: float,
    seed: int,
) -> Loader:
    """Shuffled batches, each sample augmented anew as its task wants it."""
    augment = partial(_augment, name, params)
    return Loader(
        samples, features, batch_size=batch_size, levels=params.levels, radius_s=radius_s, seed=seed, augment=augment
    )


def multi_loaders(
    tasks: Mapping[str, TaskParams],
    samples: Mapping[str, Sequence[Sample]],
    features: FeatureRows,
    base_batch: int,
    *,
    radius_s: float,
    seed: int,
) -> dict[str, Loader]:
    """A loader for every task of a pack, all about as long."""
    sizes = multi_batch_sizes({name: len(own) for name, own in samples.items()}, base_batch)
    common = {"radius_s": radius_s, "seed": seed}
    return {
        name: train_loader(name, params, samples[name], features, batch_size=sizes[name], **common)  # type: ignore[arg-type]
        for name, params in tasks.items()
    }


def _augment(name: str, params: TaskParams, sample: Sample, generator: np.random.Generator) -> Sample:
    return load_task(name).augment(sample, params, generator)


def training_samples(train: Sequence[Sample], val: Sequence[Sample], *, both: bool) -> list[Sample]:
    """Samples to train on: the training split, or both."""
    return [*train, *val] if both else list(train)


def multi_batch_sizes(lengths: Mapping[str, int], base_batch: int) -> dict[str, int]:
    """Batch of a task = base batch * (its length // the shortest length), lengths in samples."""
    shortest = min(lengths.values())
    return {name: base_batch * (length // shortest) for name, length in lengths.items()}
