"""The network of any regime: backbone, tasks, and for EgoPack the support necks and their interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from egopack.data.batch import Batch
from egopack.nn.backbone import Backbone
from egopack.nn.heads import Neck
from egopack.nn.interaction import Interaction
from egopack.params import BackboneParams, Count, Fraction, InteractionParams, Strict
from egopack.tasks.base import Outputs, Task, load_task


class TaskSpec(Strict):
    """A task's block (samples, levels, model) and the number of classes of each of its label sets."""

    params: dict[str, Any]
    labels: dict[str, int]


class NeckSpec(Strict):
    """Sizes of a support task's neck and how many prototypes it brings."""

    features: Count
    dropout: Fraction
    prototypes: Count


class NetworkSpec(Strict):
    """All that rebuilds a network without params.yaml; it stands beside the weights."""

    input_size: Count
    levels: Count
    backbone: BackboneParams
    tasks: dict[str, TaskSpec]
    support: dict[str, NeckSpec] = Field(default_factory=dict)
    interaction: InteractionParams | None = None


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
        detached = [level.detach() for level in levels]
        out = {}
        for name, support in self.support.items():
            aligned = task.align([support["neck"](level) for level in detached], batch)  # type: ignore[index]
            out[name] = self.egopack[name](aligned)
        return out


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
