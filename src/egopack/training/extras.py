"""What training can do beyond the method, off by default: averaged weights, the best epoch, freezing, fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from egopack.errors import UserError
from egopack.training.network import Network

WARM_UP = 10  # updates over which the average trusts the past less


class Average:
    """Exponential moving average of a network's weights and buffers; after t updates the decay is at most
    (1 + t) / (10 + t).
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move the average towards the network's weights of now."""
        decay = min(self.decay, (1 + self.updates) / (WARM_UP + self.updates))
        self.updates += 1
        now = network.state_dict()
        torch._foreach_lerp_(list(self.weights.values()), [now[name] for name in self.weights], 1 - decay)


@dataclass
class Best:
    """The weights that scored best so far.

    Scores are greater where better. Several are put together as the mean of their changes relative to the first
    evaluation, so that no unit matters; one alone is ranked as it is.
    """

    first: dict[str, float] = field(default_factory=dict)
    score: float = -float("inf")
    epoch: int = -1
    waited: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, epoch: int, scores: Mapping[str, float], weights: Mapping[str, Tensor]) -> bool:
        """Keep a copy of the weights if they score better than all before; how long it is since then is `waited`."""
        self.first = self.first or dict(scores)
        changes = [(value - self.first[name]) / max(abs(self.first[name]), 1e-12) for name, value in scores.items()]
        total = next(iter(scores.values())) if len(scores) == 1 else sum(changes) / len(changes)
        self.waited += 1
        if total > self.score:
            self.score, self.epoch, self.waited = total, epoch, 0
            self.weights = {name: value.detach().clone() for name, value in weights.items()}
        return self.waited == 0

    def record(self) -> dict[str, Any]:
        """All but the weights, JSON-ready."""
        return {"first": self.first, "score": self.score, "epoch": self.epoch, "waited": self.waited}


def freeze(network: Network, parts: Sequence[str]) -> None:
    """Exempt `backbone` or `necks` from training; in EgoPack the necks are those of the support tasks."""
    for part in parts:
        owners = [network.backbone] if part == "backbone" else necks(network)
        for owner in owners:
            owner.requires_grad_(False)


def necks(network: Network) -> list[torch.nn.Module]:
    """Necks of the support tasks where there are any, else of the tasks."""
    if len(network.support):
        return [support["neck"] for support in network.support.values()]  # type: ignore[index]
    return [network.head(name).neck for name in network.task]


def start_from(network: Network, other: Network, source: str, *, whole: bool = False) -> list[str]:
    """Copy every weight that both networks have; the names of tasks that start anew.

    Raises:
        UserError: a weight differs in shape, the backbones have nothing in common, or with `whole` the other lacks a
        weight; `source` names the other.
    """
    own, theirs = network.state_dict(), other.state_dict()
    shared = [name for name in own if name in theirs]
    wrong = [name for name in shared if own[name].shape != theirs[name].shape]
    if wrong:
        shapes = [f"{name}: {tuple(own[name].shape)} here, {tuple(theirs[name].shape)} there" for name in wrong[:5]]
        raise UserError(f"{source}: {len(wrong)} weights have other shapes: {'; '.join(shapes)}")
    if not any(name.startswith("backbone.level.") for name in shared):
        raise UserError(f"{source}: its backbone has another kind of convolution; no weight has the same name")
    missing = [name for name, _ in network.named_parameters() if name not in theirs]
    if whole and missing:
        raise UserError(
            f"{source}: {len(missing)} weights are not there, and epochs 0 would leave them untrained: "
            f"{', '.join(missing[:5])}; train for some epochs, or name a checkpoint of the same tasks and regime"
        )
    network.load_state_dict({name: theirs[name] for name in shared}, strict=False)
    return [name for name in network.task if name not in other.task]
