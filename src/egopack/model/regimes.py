"""The networks of the three regimes (section 5 of the method)."""

from __future__ import annotations

from collections.abc import Mapping

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
) -> Network:
    """The network of a novel task that starts from a pack and consults its prototypes.

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
        tasks={name: task_spec(params, labels)},
        support=necks,
        interaction=interaction,
    )
    network = _built(spec)
    start_from_pack(network, pack, prototypes.rows)
    return network


def _built(spec: NetworkSpec) -> Network:
    """The network, unless it is too large for any machine."""
    outline(spec, "params.yaml")
    return Network(spec)


def task_spec(params: TaskParams, labels: Sizes) -> TaskSpec:
    """What rebuilds a task, without the rest of its block."""
    return TaskSpec(params=params.model_dump(mode="json", include={*TaskParams.model_fields}), labels=dict(labels))
