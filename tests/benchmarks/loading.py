"""Samples a second from shards, cold and resident, and how long a training step waits for them."""

from __future__ import annotations

import csv
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from egopack.data.loader import FeatureRows, Loader
from egopack.data.samples import Sample
from egopack.data.shard_reader import COLUMNS, VIDEOS, FeatureShards, shard_name
from egopack.training.loop import step
from egopack.training.optimizer import make_optimizer
from tests.benchmarks.measure import Work
from tests.benchmarks.workloads import (
    RADIUS_S,
    Size,
    levels_of,
    network_of,
    optimizer_params,
    sample_of,
    size_of,
)

VIDEOS_STORED, STEPS = 64, 6


def make(case: str, quick: bool) -> Work:
    """An epoch from cold shards over one from resident rows; `idle_share` is of a training step."""
    name, size = case.removeprefix("loader_"), size_of(quick)
    folder = Path(tempfile.mkdtemp(prefix="shards-"))
    rows = 4 * size.nodes[name]
    write_noise(folder, rows, size.features)
    samples = samples_of(name, size, rows, count=size.samples[name] * (2 if quick else 16))
    resident = FeatureShards(folder).resident()

    def cold() -> None:
        forget(folder)
        read_all(loader_of(name, samples, FeatureShards(folder), size))

    def extra() -> dict[str, Any]:
        start = time.perf_counter()
        read_all(loader_of(name, samples, resident, size))
        speed = len(samples) / (time.perf_counter() - start)
        share = idle_share(name, loader_of(name, samples, resident, size), size, 1 if quick else STEPS)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        return {
            "samples": len(samples),
            "resident_samples_per_s": round(speed, 1),
            "idle_share": round(share, 4),
            "goal_idle_share": 0.03,
        }

    return Work(cold, lambda: read_all(loader_of(name, samples, resident, size)), "resident rows", extra=extra)


def write_noise(folder: Path, rows: int, width: int) -> None:
    """Shards of random rows, laid out as `write_shards` does."""
    generator = np.random.default_rng(0)
    with h5py.File(folder / shard_name(0), "w") as file:
        table = file.create_dataset("rows", (VIDEOS_STORED * rows, width), "float32")
        for video in range(VIDEOS_STORED):
            table[video * rows : (video + 1) * rows] = generator.standard_normal((rows, width), dtype=np.float32)
    with (folder / VIDEOS).open("w", newline="", encoding="utf-8") as file:
        lines = [(f"v{video:03d}", 0, video * rows, rows) for video in range(VIDEOS_STORED)]
        csv.writer(file).writerows([COLUMNS, *lines])


def samples_of(name: str, size: Size, rows: int, count: int) -> list[Sample]:
    generator = np.random.default_rng(0)
    samples = []
    for index in range(count):
        one = sample_of(name, size, generator, f"k{index}")
        first = int(generator.integers(0, rows - len(one.rows)))
        samples.append(replace(one, video_uid=f"v{index % VIDEOS_STORED:03d}", rows=one.rows + first))
    return samples


def loader_of(name: str, samples: list[Sample], features: FeatureRows, size: Size) -> Loader:
    return Loader(samples, features, batch_size=size.samples[name], levels=levels_of(name, size), radius_s=RADIUS_S)


def read_all(loader: Loader) -> None:
    for _ in loader.epoch():
        pass


def forget(folder: Path) -> None:
    """Drop the files from the page cache."""
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def idle_share(name: str, loader: Loader, size: Size, steps: int) -> float:
    """Share of the time of `steps` training steps that is spent waiting for a batch, the first of them left out."""
    network = network_of((name,), size).train()
    optimizer = make_optimizer(network, optimizer_params())
    batches = loader.forever()
    step(network, optimizer, {name: next(batches)}, 1.0)
    waited = worked = 0.0
    for _ in range(steps):
        start = time.perf_counter()
        batch = next(batches)
        got = time.perf_counter()
        step(network, optimizer, {name: batch}, 1.0)
        waited, worked = waited + got - start, worked + time.perf_counter() - got
    return waited / (waited + worked)
