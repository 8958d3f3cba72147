"""The network of any regime: backbone, tasks, and for EgoPack the support necks and their interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from egopack.data.batch import Batch
from egopack.errors import UserError, shown
from egopack.nn.backbone import Backbone
from egopack.nn.heads import Neck
from egopack.nn.interaction import Interaction
from egopack.nn.sums import is_compiled
from egopack.params import BackboneParams, Count, Fraction, InteractionParams, Levels, Strict, Width, check
from egopack.params.checks import TaskName
from egopack.tasks.base import Outputs, Task, load_task

MOST_NUMBERS = 1 << 32  # of a network


class TaskSpec(Strict):
    """A task's block (samples, levels, model) and the number of classes of each of its label sets."""

    params: dict[str, Any]
    labels: dict[str, Count]


class NeckSpec(Strict):
    """Sizes of a support task's neck and how many prototypes it brings."""

    features: Width
    dropout: Fraction
    prototypes: Count


class NetworkSpec(Strict):
    """All that rebuilds a network without params.yaml; it stands beside the weights."""

    input_size: Annotated[int, Field(ge=1, le=1_000_000)]
    levels: Levels
    backbone: BackboneParams
    tasks: dict[TaskName, TaskSpec]
    support: dict[TaskName, NeckSpec] = Field(default_factory=dict)
    interaction: InteractionParams | None = None

    @model_validator(mode="after")
    def _interaction_fits(self) -> NetworkSpec:
        if self.support and self.interaction is None:
            raise ValueError("support tasks come with an interaction, which is missing")
        return self


class Network(nn.Module):
    """Backbone and tasks; with support tasks, their streams are aligned to the one novel task and consult prototypes.

    Parameter names: `backbone.*`, `task.<name>.*`, `support.<name>.neck.*`, `egopack.<name>.*`.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        hidden = spec.backbone.hidden
        self.backbone = Backbone(spec.input_size, spec.levels, spec.backbone)
        self.task = nn.ModuleDict()
        for name, task in spec.tasks.items():
            kind = load_task(name)
            self.task[name] = kind(hidden, kind.Params.model_validate(task.params), task.labels, list(spec.support))
        self.support = nn.ModuleDict()
        self.egopack = nn.ModuleDict()
        for name, neck in spec.support.items():
            assert spec.interaction is not None, "support tasks come with an interaction"
            self.support[name] = nn.ModuleDict({"neck": Neck(hidden, neck.features, neck.dropout)})
            self.egopack[name] = Interaction(torch.zeros(neck.prototypes, neck.features), spec.interaction)

    def head(self, name: str) -> Task:
        """The task of that name."""
        head = self.task[name]
        assert isinstance(head, Task)
        return head

    def forward(self, name: str, batch: Batch) -> Outputs:
        """Outputs of the task `name` on a batch of its samples."""
        task = self.head(name)
        levels = self.backbone(batch.x, batch.pyramid)
        return task(levels, batch, self.streams(levels, task, batch) if len(self.support) else None)

    def streams(self, levels: Sequence[Tensor], task: Task, batch: Batch) -> dict[str, Tensor]:
        """What each support task makes of the backbone's features, which receive no gradient from here (section 5,
        step 2).
        """
        detached, out = [level.detach() for level in levels], {}
        sizes = [level.shape[0] for level in detached]  # len() would fix them in an exported program
        together = None if is_compiled(detached[0]) or len(detached) == 1 else torch.cat(detached)
        for name, support in self.support.items():
            neck = support["neck"]  # type: ignore[index]
            # all levels at once, where every call costs a launch
            necks = [neck(level) for level in detached] if together is None else neck(together).split(sizes)
            out[name] = self.egopack[name](task.align(necks, batch))
        return out


class _NoIdentity(TorchFunctionMode):
    """Tensors are not set to the identity: on the device meta, that takes seconds of imports and does nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        return keywords["out"] if func is torch.eye and "out" in keywords else func(*args, **keywords)


def outline(spec: NetworkSpec, source: str) -> Network:
    """The network on the device meta: names and shapes of all that it has, of which nothing is allocated.

    Raises:
        UserError: a task lacks a label set or reads more levels than there are, or there are more than MOST_NUMBERS;
        `source` is where the specification stands.
    """
    for name, task in spec.tasks.items():
        levels = check(load_task(name).Params, task.params, file=source, key=f"tasks.{name}.params").levels
        if levels > spec.levels:
            raise UserError(f"{source}: tasks.{name}.params.levels: {levels}, but the backbone has {spec.levels}")
    try:
        with torch.device("meta"), _NoIdentity():
            network = Network(spec)
    except KeyError as error:
        raise UserError(f"{source}: tasks: a label set is missing: {shown(error.args[0])}") from None
    count = sum(value.numel() for value in network.state_dict().values())
    if count > MOST_NUMBERS:
        raise UserError(f"{source}: a network of {count:,} numbers, the most are {MOST_NUMBERS:,}; make it smaller")
    return network


def start_from_pack(network: Network, pack: Network, prototypes: Mapping[str, Tensor]) -> None:
    """Copy the pack's backbone and necks, and its prototypes, into the network of a novel task (section 5, step 2).

    A pack has at least as many levels as the novel task reads; those that it does not read are left out.
    """
    wanted = network.backbone.state_dict()
    network.backbone.load_state_dict(
        {name: value for name, value in pack.backbone.state_dict().items() if name in wanted}
    )
    for name, support in network.support.items():
        support["neck"].load_state_dict(pack.head(name).neck.state_dict())  # type: ignore[index]
        interaction = network.egopack[name]
        assert isinstance(interaction, Interaction)
        interaction.prototypes.copy_(prototypes[name])
