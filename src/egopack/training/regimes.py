"""The three regimes: which network, which loaders (section 5 of the method)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from egopack.data.loader import FeatureRows, Loader
from egopack.data.samples import Sample
from egopack.errors import UserError
from egopack.params import BackboneParams, InteractionParams, TaskParams
from egopack.tasks.base import load_task
from egopack.training.network import NeckSpec, Network, NetworkSpec, TaskSpec, start_from_pack
from egopack.training.prototypes import Prototypes

TaskSetup = tuple[TaskParams, Mapping[str, int]]  # a task's params and the sizes of its label sets


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
    """Shuffled batches, each sample drawn anew as its task wants it."""
    draw = partial(_draw, name, params)
    return Loader(
        samples, features, batch_size=batch_size, levels=params.levels, radius_s=radius_s, seed=seed, draw=draw
    )


def _draw(name: str, params: TaskParams, sample: Sample, generator: np.random.Generator) -> Sample:
    return load_task(name).draw(sample, params, generator)


def training_samples(train: Sequence[Sample], val: Sequence[Sample], *, both: bool) -> list[Sample]:
    """Samples to train on: the training split, or both; texts, which each split pads to its longest, to one width."""
    if not both:
        return list(train)
    samples = [*train, *val]
    widths = {
        name: max(sample.targets[name].shape[1] for sample in samples)
        for name, value in samples[0].targets.items()
        if value.ndim == 2 and value.dtype == np.uint8
    }
    for index, sample in enumerate(samples):
        padded = {
            name: np.pad(sample.targets[name], ((0, 0), (0, width - sample.targets[name].shape[1])))
            for name, width in widths.items()
        }
        samples[index] = replace(sample, targets=sample.targets | padded)
    return samples


def multi_batch_sizes(lengths: Mapping[str, int], base_batch: int) -> dict[str, int]:
    """Batch of a task = base batch * (its length // the shortest length), lengths in samples."""
    shortest = min(lengths.values())
    return {name: base_batch * (length // shortest) for name, length in lengths.items()}


def single_network(input_size: int, backbone: BackboneParams, name: str, setup: TaskSetup) -> Network:
    """A backbone as deep as the task reads, and the task."""
    return Network(
        NetworkSpec(input_size=input_size, levels=setup[0].levels, backbone=backbone, tasks=_specs({name: setup}))
    )


def multi_network(input_size: int, backbone: BackboneParams, tasks: Mapping[str, TaskSetup], levels: int) -> Network:
    """One backbone of `levels` and all tasks of a pack; a novel task may read levels that none of them does.

    Raises:
        UserError: a task reads more levels than there are.
    """
    for name, (params, _) in tasks.items():
        if params.levels > levels:
            raise UserError(f"params.yaml: tasks.{name}.levels: {params.levels}, but multi.levels is {levels}")
    return Network(NetworkSpec(input_size=input_size, levels=levels, backbone=backbone, tasks=_specs(tasks)))


def novel_network(
    name: str, setup: TaskSetup, pack: Network, prototypes: Prototypes, interaction: InteractionParams
) -> Network:
    """The network of a novel task that starts from a pack and consults its prototypes.

    Raises:
        UserError: the pack contains the task, has too few levels or another feature width, or has no prototypes of a
        task.
    """
    params, support = setup[0], list(pack.spec.tasks)
    if name in support:
        raise UserError(f"tasks.{name}.pack: the pack was trained with {name!r}, so it is not novel to it")
    if params.levels > pack.spec.levels:
        raise UserError(
            f"tasks.{name}.levels: {params.levels}, but its pack was trained with multi.levels {pack.spec.levels}"
        )
    necks = {}
    for other in support:
        task = pack.head(other).params
        if task.model.features != params.model.features:
            raise UserError(
                f"tasks.{name}.model.features: {params.model.features}, but tasks.{other}.model.features "
                f"is {task.model.features}; features of one width can be fused"
            )
        if other not in prototypes.rows:
            raise UserError(f"prototypes: none of task {other!r}; build them again from this pack")
        width = prototypes.rows[other].shape[1]
        if width != task.model.features:
            raise UserError(
                f"prototypes: those of task {other!r} are {width} wide, but tasks.{other}.model.features is "
                f"{task.model.features}; build them again from this pack"
            )
        necks[other] = NeckSpec(
            features=task.model.features, dropout=task.model.dropout, prototypes=len(prototypes.rows[other])
        )
    spec = NetworkSpec(
        input_size=pack.spec.input_size,
        levels=params.levels,
        backbone=pack.spec.backbone,
        tasks=_specs({name: setup}),
        support=necks,
        interaction=interaction,
    )
    network = Network(spec)
    start_from_pack(network, pack, prototypes.rows)
    return network


def _specs(tasks: Mapping[str, TaskSetup]) -> dict[str, TaskSpec]:
    return {
        name: TaskSpec(params=params.model_dump(mode="json"), labels=dict(labels))
        for name, (params, labels) in tasks.items()
    }
