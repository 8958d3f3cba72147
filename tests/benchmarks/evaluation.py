"""Edit distance, prototypes and segment pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from egopack.data.batch import nodes_in_segments
from egopack.data.loader import Loader
from egopack.model.prototypes import build_prototypes
from egopack.nn.heads import segment_mean
from egopack.tasks.lta import best_edit_distance
from tests.benchmarks.floor import floor_of, products_of
from tests.benchmarks.measure import Run, Work
from tests.benchmarks.workloads import RADIUS_S, network_of, sample_of, size_of

HORIZON, CANDIDATES, NOUNS = 20, 5, 478
PROTOTYPE_TASKS = ("ar", "oscc", "lta", "pnr")
CLIPS = 1500  # of the training split, whose time is told from a part of them


def make(case: str, quick: bool) -> Work:
    return {"edit_distance": edit_distance, "prototypes": prototypes, "segment_pool": segment_pool}[case](quick)


def levenshtein(one: list[int], other: list[int]) -> int:
    """The textbook recurrence."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def edit_distance(quick: bool) -> Work:
    """10,000 clips with 5 candidates over the whole horizon, and at each step of it, as the metric needs."""
    clips, few = (20, 5) if quick else (10_000, 50)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, NOUNS, (clips, HORIZON))
    drawn = generator.integers(0, NOUNS, (clips, HORIZON, CANDIDATES))
    drawn = np.where(generator.random(drawn.shape) < 0.5, np.roll(labels, 1, axis=1)[..., None], drawn)
    horizons = range(1, HORIZON + 1)
    found: dict[str, np.ndarray] = {}

    def ours() -> None:
        found["ours"] = best_edit_distance(drawn, labels, horizons)

    def oracle() -> None:
        found["oracle"] = np.array(
            [
                [
                    min(levenshtein(drawn[i, :z, k].tolist(), labels[i, :z].tolist()) for k in range(CANDIDATES)) / z
                    for z in horizons
                ]
                for i in range(few)
            ]
        )

    def check() -> None:
        np.testing.assert_allclose(found["ours"][:few], found["oracle"])

    return Work(
        ours, oracle, "the textbook recurrence in Python, per clip", units=(clips, few), check=check, slow_other=True
    )


class Noise:
    """Feature rows of any video."""

    def __init__(self, nodes: int, width: int) -> None:
        self.table = np.random.default_rng(0).standard_normal((nodes, width), dtype=np.float32)

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray:
        return self.table[rows]


def prototypes(quick: bool) -> Work:
    """Prototypes of 4 tasks, over the matrix products of the same clips."""
    size = size_of(quick)
    clips = 4 if quick else 32
    network = network_of(PROTOTYPE_TASKS, size)
    generator = np.random.default_rng(0)
    samples = [sample_of("ar", size, generator, str(index)) for index in range(clips)]
    loader = Loader(samples, Noise(size.nodes["ar"], size.features), batch_size=8, levels=1, radius_s=RADIUS_S)
    counts = size.labels["ar"]
    found: dict[str, Any] = {}

    def ours() -> None:
        found["built"] = build_prototypes(
            network, loader, verbs=counts["verbs"], nouns=counts["nouns"], device=torch.device("cpu")
        )

    def check() -> None:
        assert set(found["built"].rows) == set(PROTOTYPE_TASKS), "prototypes of every task"

    floor = floor_of(products_of(ours))
    return Work(ours, floor, "its matrix products", check=check, extra=lambda: {"clips": clips, "of_clips": CLIPS})


def pooling(videos: int, nodes: int, segments: int, width: int) -> Run:
    """Forward and backward of segment pooling; a segment covers a tenth of its video."""
    generator = np.random.default_rng(0)
    pos = [np.arange(nodes, dtype=np.float32)] * videos
    start = [generator.uniform(0, 0.9 * nodes, segments) for _ in range(videos)]
    members = nodes_in_segments(pos, [np.stack([one, one + 0.1 * nodes], axis=1) for one in start])
    x = torch.randn(videos * nodes, width, requires_grad=True)

    def run() -> None:
        x.grad = None
        segment_mean(x, members).sum().backward()

    return run


def segment_pool(quick: bool) -> Work:
    """Ten times the nodes and segments of each video: linear where the ratio per node and segment is 1."""
    small, width = (20, 3) if quick else (590, 60), 16 if quick else 768
    large = (10 * small[0], 10 * small[1])
    return Work(
        pooling(1, *large, width),
        pooling(1, *small, width),
        f"{small[0]} nodes and {small[1]} segments, per node and segment",
        goal=1.25,
        units=(sum(large), sum(small)),
    )
