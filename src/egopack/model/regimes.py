"""The networks of the three regimes (section 5 of the method)."""

from __future__ import annotations

from collections.abc import Mapping

from egopack.errors import UserError
from egopack.model.network import NeckSpec, Network, NetworkSpec, TaskSpec, start_from_pack
from egopack.model.prototypes import Prototypes
from egopack.params import BackboneParams, InteractionParams, TaskParams

TaskSetup = tuple[TaskParams, Mapping[str, int]]  # a task's params and the sizes of its label sets


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
