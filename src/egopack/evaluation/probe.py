"""What there is to gain: how well a linear map predicts a task from features that it has no part in making.

A probe (Alain and Bengio, arXiv 1610.01644) is one linear map from frozen features to a task's outputs, trained by the
task's own loss and scored as the task is. If one on a pack's necks does no better than one on the raw features or on
what the task has learned alone, then streams of this pack hold nothing that a better fusion could find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egopack.data.batch import Batch
from egopack.data.loader import FeatureRows, Loader
from egopack.data.samples import Sample
from egopack.evaluation.predict import Scores, rounded
from egopack.labels import Labels
from egopack.model.network import Network
from egopack.nn.backbone import pool_nodes
from egopack.preparation.budget import ordered
from egopack.tasks.base import Task

AT_ONCE = 64  # samples
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
HELD_OUT = 0.2  # of the training videos, by which a penalty is chosen
STEPS = 80
Features = Callable[[Batch], Tensor]  # a batch -> [M, F], aligned to the task


def representations(name: str, single: Network, pack: Network) -> dict[str, Features]:
    """Features of a task's batches by name: the raw rows, pooled as a backbone pools; those of a backbone that nothing
    trained; the neck of `single`, which has seen the task's labels; the backbone and all necks of a pack that has not;
    and the necks beside the raw rows.
    """
    task = single.head(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = Network(pack.spec)

    def raw(batch: Batch) -> Tensor:
        levels, x = [], batch.x
        for level in batch.pyramid:
            levels.append(x)
            x = x if level.pooling is None else pool_nodes(x, level.pooling, pack.backbone.pool)
        return task.align(levels, batch)

    def own(batch: Batch) -> Tensor:
        kept: list[Tensor] = []
        hook = task.neck.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
        single(name, batch)
        hook.remove()
        return task.align(kept, batch)

    def backbone(network: Network) -> Features:
        return lambda batch: task.align(network.backbone(batch.x, batch.pyramid), batch)

    necks = necks_of(pack, task)
    return {
        "raw": raw,
        "untrained": backbone(untrained.eval()),
        "single": own,
        "pack, backbone": backbone(pack),
        "pack, necks": necks,
        "raw + necks": lambda batch: torch.cat([raw(batch), necks(batch)], 1),
    }


def necks_of(pack: Network, task: Task) -> Features:
    """The necks of all tasks of a pack side by side, aligned to another task."""

    def necks(batch: Batch) -> Tensor:
        levels = pack.backbone(batch.x, batch.pyramid)
        return torch.cat([task.align([pack.head(one).neck(x) for x in levels], batch) for one in pack.spec.tasks], 1)

    return necks


class Probe(nn.Module):
    """One linear map [M, F] -> all outputs of a task. `shapes` are the rows that each output has of a feature, and its
    columns.

    Features are standardized by the mean and deviation of those that it is trained on.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.shapes, self.mean, self.deviation = dict(shapes), mean, deviation
        self.linear = nn.Linear(len(mean), sum(rows * columns for rows, columns in shapes.values()))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        sizes = [rows * columns for rows, columns in self.shapes.values()]
        parts = self.linear((x - self.mean) / self.deviation).split(sizes, dim=1)
        shaped = {
            name: part.reshape(-1, columns)
            for (name, (_, columns)), part in zip(self.shapes.items(), parts, strict=True)
        }
        # distances, which cannot be below zero
        return {name: F.softplus(value) if name == "offsets" else value for name, value in shaped.items()}


Part = tuple[Batch, Tensor, Sequence[Sample]]


@torch.no_grad()
def seen(make: Features, samples: Sequence[Sample], features: FeatureRows, task: Task, radius_s: float) -> list[Part]:
    """Batches of samples, each with its features."""
    loader = Loader(samples, features, batch_size=AT_ONCE, levels=task.params.levels, radius_s=radius_s)
    return [(batch, make(batch), chosen) for batch, chosen in loader.epoch()]


def loss_of(probe: Probe, parts: Sequence[Part], task: Task) -> Tensor:
    """The task's loss, the mean over samples of that of every batch."""
    total = sum(len(chosen) for _, _, chosen in parts)
    losses = [
        torch.stack(list(task.loss(probe(x), batch).values())).sum() * (len(chosen) / total)
        for batch, x, chosen in parts
    ]
    return torch.stack(losses).sum()


def fit(shapes: Mapping[str, tuple[int, int]], parts: Sequence[Part], task: Task, penalty: float) -> Probe:
    """The probe of least loss plus penalty times the sum of squared weights, by L-BFGS."""
    x = torch.cat([features for _, features, _ in parts])
    probe = Probe(shapes, x.mean(0), x.std(0).clamp(min=1e-6))
    optimizer = torch.optim.LBFGS(
        probe.parameters(), max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(probe, parts, task) + penalty * probe.linear.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return probe


def best_probe(
    make: Features,
    single: Network,
    name: str,
    samples: Sequence[Sample],
    features: FeatureRows,
    seed: int,
) -> Probe:
    """The probe of these features on training samples, whose penalty is chosen by the task's loss on a fifth of their
    videos.
    """
    task = single.head(name).eval()
    radius_s = single.spec.backbone.radius_s
    order = ordered((sample.video_uid for sample in samples), seed)
    held = set(order[: max(1, round(HELD_OUT * len(order)))])
    inner, outer = (
        seen(make, [one for one in samples if (one.video_uid in held) == out], features, task, radius_s)
        for out in (False, True)
    )
    shapes = shapes_of(single, name, inner[0])
    if len(order) > 1:
        probes = {penalty: fit(shapes, inner, task, penalty) for penalty in PENALTIES}
        with torch.no_grad():
            best = min(PENALTIES, key=lambda penalty: float(loss_of(probes[penalty], outer, task)))
    else:
        best = PENALTIES[len(PENALTIES) // 2]
    return fit(shapes, [*inner, *outer], task, best)


def probed(
    make: Features,
    single: Network,
    name: str,
    samples: Mapping[str, Sequence[Sample]],
    features: FeatureRows,
    labels: Labels,
    decode: Any,
    seed: int,
) -> Scores:
    """Scores on the val split of the probe of these features (`best_probe`)."""
    import numpy as np
    import pandas as pd

    task, radius_s = single.head(name), single.spec.backbone.radius_s
    probe = best_probe(make, single, name, samples["train"], features, seed)
    with torch.no_grad():
        tables = [
            task.decode(probe(x), batch, chosen, decode, np.random.default_rng([seed, turn]))
            for turn, (batch, x, chosen) in enumerate(seen(make, samples["val"], features, task, radius_s))
        ]
    return rounded(task.score(pd.concat(tables, ignore_index=True), samples["val"], labels))


@torch.no_grad()
def shapes_of(single: Network, name: str, part: Part) -> dict[str, tuple[int, int]]:
    """How many rows each output of a task has of a feature, and how many columns."""
    batch, x, _ = part
    found = {key: value for key, value in single(name, batch).items() if key != "features"}
    return {key: (len(value) // len(x), value.shape[1]) for key, value in found.items()}
