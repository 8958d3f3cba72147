"""The networks of the three regimes (section 5 of the method)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from egopack.errors import UserError
from egopack.model.network import NeckSpec, Network, NetworkSpec, TaskSpec, outline, start_from_pack
from egopack.model.prototypes import Prototypes
from egopack.params import BackboneParams, InteractionParams, TaskParams

Sizes = Mapping[str, int]  # of a task's label sets


def single_network(input_size: int, backbone: BackboneParams, name: str, params: TaskParams, labels: Sizes) -> Network:
    """A backbone as deep as the task reads, and the task."""
    tasks = {name: task_spec(params, labels)}
    return _built(NetworkSpec(input_size=input_size, levels=params.levels, backbone=backbone, tasks=tasks))


def multi_network(
    input_size: int,
    backbone: BackboneParams,
    tasks: Mapping[str, TaskParams],
    labels: Mapping[str, Sizes],
    levels: int,
) -> Network:
    """One backbone of `levels` and all tasks of a pack, each with its `labels`; a novel task may read levels that none
    of them does.

    Raises:
        UserError: a task reads more levels than there are.
    """
    for name, params in tasks.items():
        if params.levels > levels:
            raise UserError(f"params.yaml: tasks.{name}.levels: {params.levels}, but multi.levels is {levels}")
    specs = {name: task_spec(params, labels[name]) for name, params in tasks.items()}
    return _built(NetworkSpec(input_size=input_size, levels=levels, backbone=backbone, tasks=specs))


def novel_network(
    name: str,
    params: TaskParams,
    labels: Sizes,
    pack: Network,
    prototypes: Prototypes,
    interaction: InteractionParams,
    without: Collection[str] = (),
    seed: int = 0,
) -> Network:
    """The network of a novel task that starts from a pack and consults its prototypes.

    `without` is what of the pack it does without (`extras.without`); `seed` permutes the columns of prototypes, whose
    rows are a set, so that permuted rows would change nothing.

    Raises:
        UserError: the pack contains the task, has too few levels or another feature width, or has no prototypes of a
        task.
    """
    support = list(pack.spec.tasks)
    if name in support:
        raise UserError(f"helped_by.{name}: the pack was trained with {name!r}, so it is not novel to it")
    if params.levels > pack.spec.levels:
        raise UserError(
            f"tasks.{name}.levels: {params.levels}, but its pack was trained with multi.levels {pack.spec.levels}"
        )
    necks = {other: _neck(name, params, other, pack.head(other).params, prototypes) for other in support}
    if "interaction" in without:
        interaction = interaction.model_copy(update={"rounds": 0})
    rows = _permuted(prototypes.rows, seed) if "prototypes" in without else prototypes.rows
    spec = NetworkSpec(
        input_size=pack.spec.input_size,
        levels=params.levels,
        backbone=pack.spec.backbone,
        tasks={name: task_spec(params, labels)},
        support={} if "streams" in without else necks,
        interaction=interaction,
    )
    network = _built(spec)
    fresh = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    start_from_pack(network, pack, rows)
    if "backbone" in without:
        network.backbone.load_state_dict(fresh)
    return network


def _neck(name: str, params: TaskParams, other: str, task: TaskParams, prototypes: Prototypes) -> NeckSpec:
    """What task `name` has of task `other` of its pack: a neck, and so many prototypes."""
    if task.model.features != params.model.features:
        raise UserError(
            f"tasks.{name}.model.features: {params.model.features}, but tasks.{other}.model.features "
            f"is {task.model.features}; features of one width can be fused"
        )
    if other not in prototypes.rows:
        raise UserError(f"prototypes: none of task {other!r}; build them again from this pack")
    count, width = prototypes.rows[other].shape
    if width != task.model.features:
        raise UserError(
            f"prototypes: those of task {other!r} are {width} wide, but tasks.{other}.model.features is "
            f"{task.model.features}; build them again from this pack"
        )
    return NeckSpec(features=task.model.features, dropout=task.model.dropout, prototypes=count)


def _permuted(rows: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The values of every column [P] of each task's rows [P, F] in another order, each in one of its own."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.stack([column[torch.randperm(len(column), generator=generator)] for column in own.T], dim=1)
        for name, own in rows.items()
    }


def _built(spec: NetworkSpec) -> Network:
    """The network, unless it is too large for any machine."""
    outline(spec, "params.yaml")
    return Network(spec)


def task_spec(params: TaskParams, labels: Sizes) -> TaskSpec:
    """What rebuilds a task, without the rest of its block."""
    return TaskSpec(params=params.model_dump(mode="json", include={*TaskParams.model_fields}), labels=dict(labels))
