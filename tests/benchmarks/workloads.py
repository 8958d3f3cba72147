"""Batches and networks of paper size, from random features; `quick` ones are tiny."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from egopack.data.batch import Batch, collate
from egopack.data.grid import Grid
from egopack.data.samples import Sample
from egopack.model.network import NeckSpec, Network, NetworkSpec, TaskSpec
from egopack.params import BackboneParams, InteractionParams, OptimizerParams, TaskParams
from egopack.tasks.base import load_task
from egopack.tasks.pnr import frame_labels

TASKS = ("ar", "oscc", "lta", "pnr", "mq")
GRID = Grid(16, 30.0)
RADIUS_S = 2.0
SUPPORT = {"ar": ("oscc", "lta", "pnr", "mq"), "mq": ("ar", "oscc", "lta", "pnr")}


@dataclass(frozen=True)
class Size:
    """H = F, D, and how many samples of how many nodes a batch of each task holds; `parts` are segments of a sample."""

    hidden: int
    features: int
    classifier: int
    levels: int
    prototypes: int
    samples: dict[str, int]
    nodes: dict[str, int]
    parts: dict[str, int]
    labels: dict[str, dict[str, int]]


def labels(verbs: int, nouns: int, moments: int) -> dict[str, dict[str, int]]:
    actions = {"verbs": verbs, "nouns": nouns}
    return {"ar": actions, "oscc": {"changes": 2}, "lta": actions, "pnr": {}, "mq": {"moments": moments}}


PAPER = Size(
    hidden=768,
    features=256,
    classifier=512,
    levels=8,
    prototypes=5000,
    samples={"ar": 4, "oscc": 4, "lta": 64, "pnr": 128, "mq": 4},
    nodes={"ar": 590, "oscc": 300, "lta": 20, "pnr": 16, "mq": 900},
    parts={"ar": 60, "oscc": 20, "lta": 20, "pnr": 16, "mq": 8},
    labels=labels(115, 478, 110),
)
QUICK = Size(
    hidden=16,
    features=8,
    classifier=8,
    levels=3,
    prototypes=12,
    samples=dict.fromkeys(TASKS, 2),
    nodes={"ar": 20, "oscc": 20, "lta": 5, "pnr": 16, "mq": 20},
    parts={"ar": 3, "oscc": 3, "lta": 20, "pnr": 16, "mq": 3},
    labels=labels(5, 6, 4),
)


def size_of(quick: bool) -> Size:
    return QUICK if quick else PAPER


def levels_of(name: str, size: Size) -> int:
    return size.levels if name == "mq" else 1


def sample_of(name: str, size: Size, generator: np.random.Generator, key: str = "0") -> Sample:
    """One sample with random targets."""
    nodes, parts, classes = size.nodes[name], size.parts[name], size.labels[name]
    end_s = nodes * GRID.stride / GRID.fps
    start = generator.uniform(0, 0.9 * end_s, parts)
    segments = np.stack([start, start + 0.5 + generator.uniform(0, 0.1 * end_s, parts)], axis=1).astype(np.float32)
    more: dict[str, Any] = {"segments": segments} if name in ("ar", "oscc") else {}
    if name == "mq":
        targets = {"segments": segments, "classes": generator.integers(0, classes["moments"], parts)}
        more["metadata"] = {"duration": np.array([end_s])}
    elif name == "pnr":
        targets = {"frame_labels": frame_labels(0, 240, int(generator.integers(0, 240)))}
    else:
        targets = {label: generator.integers(0, count, parts) for label, count in classes.items()}
    pos = GRID.positions(nodes, 0.0 if name == "pnr" else 0.5)
    return Sample(key, key, np.arange(nodes), np.round(pos, 3) if name == "lta" else pos, targets, **more)


def batch_of(name: str, size: Size, seed: int = 0) -> Batch:
    """A batch of a task."""
    generator = np.random.default_rng(seed)
    samples = [sample_of(name, size, generator, str(index)) for index in range(size.samples[name])]
    features = [generator.standard_normal((len(one.rows), size.features), dtype=np.float32) for one in samples]
    return collate(samples, features, levels=levels_of(name, size), radius_s=RADIUS_S)


def backbone_params(size: Size) -> BackboneParams:
    return BackboneParams(hidden=size.hidden, radius_s=RADIUS_S, dropout=0.1)


def task_params(name: str, size: Size) -> TaskParams:
    model = {"features": size.hidden, "classifier_hidden": size.classifier}
    value = {"annotations": "", "levels": levels_of(name, size), "samples": {}, "model": model}
    return load_task(name).Params.model_validate(value)


def network_of(names: Sequence[str], size: Size, support: Sequence[str] = ()) -> Network:
    """A network of some tasks on one backbone; with `support`, the network of a novel task."""
    params = {name: task_params(name, size) for name in names}
    specs = {
        name: TaskSpec(params=one.model_dump(mode="json"), labels=size.labels[name]) for name, one in params.items()
    }
    network = Network(
        NetworkSpec(
            input_size=size.features,
            levels=max(one.levels for one in params.values()),
            backbone=backbone_params(size),
            tasks=specs,
            support={name: NeckSpec(features=size.hidden, dropout=0.0, prototypes=size.prototypes) for name in support},
            interaction=InteractionParams(hidden=max(1, size.hidden // 3)) if support else None,
        )
    )
    for name in support:
        network.egopack[name].prototypes.copy_(torch.randn(size.prototypes, size.hidden))  # type: ignore[operator]
    return network


def optimizer_params() -> OptimizerParams:
    return OptimizerParams(epochs=15, warmup_epochs=5, lr=1e-4, weight_decay=1e-5)
