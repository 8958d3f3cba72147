"""A pack as a second opinion: networks that were trained apart answer together.

With few labels a network that starts from a pack learns its own videos by heart, and little of the pack is left. What
the pack knows is kept where nothing trains it: a linear map on its frozen necks, whose penalty is chosen on held-out
videos, is averaged with the task alone and with EgoPack. It is a product of experts (Hinton, Neural Computation 2002)
of equal spread, since one that has learned its labels by heart would drown the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from egopack.data.batch import Batch
from egopack.data.loader import FeatureRows, Loader
from egopack.data.samples import Sample
from egopack.evaluation.probe import AT_ONCE, Probe, best_probe, necks_of
from egopack.model.network import Network
from egopack.tasks.base import Outputs, Task

Member = Callable[[str, Batch], Outputs]
MEMBERS = ("single", "egopack", "necks")  # of a second opinion


class OnNecks(nn.Module):
    """A linear map on the necks of a pack that stays as it is."""

    def __init__(self, pack: Network, task: Task, probe: Probe) -> None:
        super().__init__()
        self.pack, self.probe, self.necks = pack, probe, necks_of(pack, task)

    def forward(self, name: str, batch: Batch) -> Outputs:
        outputs: Outputs = self.probe(self.necks(batch))
        return outputs


class Ensemble(nn.Module):
    """Members of one task that answer as one, in place of a `Network`: logits are divided by their member's spread,
    averaged, and given that of the first member; other outputs (MQ's offsets) are averaged.
    """

    def __init__(self, members: Mapping[str, nn.Module], first: Network, spreads: Mapping[str, Mapping[str, float]]):
        super().__init__()
        self.members, self.spreads = nn.ModuleDict(members), {name: dict(one) for name, one in spreads.items()}
        self.spec, self.leading, self.head = first.spec, next(iter(members)), first.head

    def forward(self, name: str, batch: Batch) -> Outputs:
        found = {member: module(name, batch) for member, module in self.members.items()}
        keys = [key for key in found[self.leading] if key != "features"]
        return {
            key: sum(self._scale(member, key) * outputs[key] for member, outputs in found.items()) / len(found)
            for key in keys
        }

    def _scale(self, member: str, key: str) -> float:
        own = self.spreads[member].get(key, 0.0)
        return self.spreads[self.leading][key] / own if own else 1.0


def spread(logits: Tensor) -> float:
    """Root mean square of logits [M, C] around the mean of their row, or of all where there is one column: what a
    softmax, or a threshold, sees of them.
    """
    middle = logits.mean(dim=1, keepdim=True) if logits.shape[1] > 1 else logits.mean()
    return float((logits - middle).double().square().mean().sqrt())


@torch.no_grad()
def spreads_of(
    member: Member, name: str, samples: Sequence[Sample], features: FeatureRows, first: Network
) -> dict[str, float]:
    """The spread of each kind of logits that a member gives on these samples."""
    task, radius_s = first.head(name), first.spec.backbone.radius_s
    loader = Loader(samples, features, batch_size=AT_ONCE, levels=task.params.levels, radius_s=radius_s)
    found: dict[str, list[Tensor]] = {}
    for batch, _ in loader.epoch():
        for key, value in member(name, batch).items():
            if key.endswith("logits"):
                found.setdefault(key, []).append(value)
    return {key: spread(torch.cat(values)) for key, values in found.items()}


def second_opinion(
    name: str,
    single: Network,
    novel: Network,
    pack: Network,
    samples: Sequence[Sample],
    features: FeatureRows,
    seed: int,
) -> Ensemble:
    """The task alone, EgoPack and a linear map on the necks of its pack, as one; what is fitted is fitted to these
    training samples.
    """
    for network in (single, novel, pack):
        network.eval()
    task = single.head(name)
    probe = best_probe(necks_of(pack, task), single, name, samples, features, seed)
    members = dict(zip(MEMBERS, (single, novel, OnNecks(pack, task, probe)), strict=True))
    return as_one(name, members, single, samples, features)


def alone_together(
    name: str, networks: Sequence[Network], samples: Sequence[Sample], features: FeatureRows
) -> Ensemble:
    """Several trainings of the task alone, as one: what averaging gains without a pack."""
    members = {str(number): network.eval() for number, network in enumerate(networks)}
    return as_one(name, members, networks[0], samples, features)


def as_one(
    name: str, members: Mapping[str, nn.Module], first: Network, samples: Sequence[Sample], features: FeatureRows
) -> Ensemble:
    """Members that answer as one, their spreads being those on these training samples."""
    spreads = {key: spreads_of(one, name, samples, features, first) for key, one in members.items()}
    return Ensemble(members, first, spreads)
