"""What answers as one: against averages by hand, and whatever the scale of one member."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from egopack.data.batch import Batch
from egopack.evaluation.ensemble import Ensemble, alone_together, second_opinion, spread
from egopack.evaluation.predict import predict
from egopack.evaluation.probe import best_probe, necks_of
from egopack.model.network import Network
from egopack.model.regimes import multi_network
from tests.support import small
from tests.support.networks import novel_network


class Louder(nn.Module):
    """A member whose logits are so many times as large."""

    def __init__(self, network: Network, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, name: str, batch: Batch) -> dict[str, Tensor]:
        outputs = self.network(name, batch)
        return {key: value * (self.factor if key.endswith("logits") else 1) for key, value in outputs.items()}


def members(name: str) -> tuple[Network, Network, Network]:
    """A task alone, the same with a pack, and a pack of three others."""
    single, novel = small.network_of(name), novel_network(name)
    others = [one for one in ("ar", "oscc", "lta", "mq") if one != name][:3]
    tasks = {one: small.task_params(one) for one in others}
    sizes = {one: small.sizes(one) for one in others}
    pack = multi_network(small.WIDTH, small.backbone_params(), tasks, sizes, levels=3)
    for seed, network in enumerate((single, novel, pack)):
        small.randomize(network, seed)
    return single, novel, pack


def made(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Ensemble, tuple[Network, Network, Network]]:
    monkeypatch.setattr("egopack.evaluation.probe.PENALTIES", (1e-3, 1e-1))
    monkeypatch.setattr("egopack.evaluation.probe.STEPS", 5)
    networks = members(name)
    return second_opinion(name, *networks, small.samples_of(name, 8, 0), small.Features(), 0), networks


def test_the_spread_is_what_a_softmax_sees() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    by_hand = np.sqrt(np.mean([np.var(row) for row in logits.numpy()]))
    assert spread(logits) == pytest.approx(by_hand, rel=1e-6)
    assert spread(logits + torch.arange(50)[:, None]) == pytest.approx(by_hand, rel=1e-5)  # the same to a softmax
    assert spread(logits[:, :1]) == pytest.approx(float(np.std(logits[:, 0].numpy())), rel=1e-6)


@pytest.mark.parametrize("name", small.TASKS)
@torch.no_grad()
def test_three_answer_as_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together, (single, novel, pack) = made(name, monkeypatch)
    samples, head = small.samples_of(name, 8, 0), single.head(name)
    probe = best_probe(necks_of(pack, head), single, name, samples, small.Features(), 0)
    batch = small.batch_of(small.samples_of(name, 5, 1), levels=head.params.levels)
    whole = small.batch_of(samples, levels=head.params.levels)

    def of(each: Batch) -> list[dict[str, Tensor]]:
        return [single(name, each), novel(name, each), probe(necks_of(pack, head)(each))]

    found, parts, seen = together(name, batch), of(batch), of(whole)
    assert {*found} == {key for key in parts[0] if key != "features"}
    for key, value in found.items():
        scales = [spread(one[key]) for one in seen] if key.endswith("logits") else [1.0] * 3
        scaled = [one[key].double() * scales[0] / scale for one, scale in zip(parts, scales, strict=True)]
        np.testing.assert_allclose(value.numpy(), torch.stack(scaled).mean(0).numpy(), rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ar", "pnr"])
@torch.no_grad()
def test_a_member_that_is_sure_of_all_does_not_drown_the_others(name: str) -> None:
    single, novel, _ = members(name)
    batch = small.batch_of(small.samples_of(name, 5, 1))
    found = []
    for factor in (1.0, 1000.0):
        parts: dict[str, nn.Module] = {"single": single.eval(), "egopack": Louder(novel.eval(), factor)}
        spreads = {
            member: {key: spread(value) for key, value in one(name, batch).items() if key.endswith("logits")}
            for member, one in parts.items()
        }
        found.append(Ensemble(parts, single, spreads)(name, batch))
    for key, value in found[0].items():
        np.testing.assert_allclose(value.numpy(), found[1][key].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", small.TASKS)
def test_they_predict_as_a_network_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together, (single, *_) = made(name, monkeypatch)
    samples, head = small.samples_of(name, 5, 1), single.head(name)
    common: dict[str, Any] = {"decode": head.Decode(), "seed": 0, "device": torch.device("cpu")}
    own, alone = (predict(one, name, samples, small.Features(), **common) for one in (together, single))  # type: ignore[arg-type]
    assert list(own.columns) == list(alone.columns)
    assert set(own["key"]) <= {sample.key for sample in samples}
    scores = head.score(own, samples, small.LABELS[name])
    assert {*head.headline} <= {*scores}


@torch.no_grad()
def test_trainings_of_the_task_alone_answer_as_one() -> None:
    networks = [small.network_of("ar") for _ in range(3)]
    for seed, network in enumerate(networks):
        small.randomize(network, seed)
        network.train()
    samples = small.samples_of("ar", 8, 0)
    together = alone_together("ar", networks, samples, small.Features())
    levels = networks[0].head("ar").params.levels
    batch, whole = (small.batch_of(one, levels=levels) for one in (small.samples_of("ar", 5, 1), samples))
    found, parts, seen = together("ar", batch), *([one("ar", each) for one in networks] for each in (batch, whole))
    for key, value in found.items():
        scales = [spread(one[key]) for one in seen]
        scaled = [one[key].double() * scales[0] / scale for one, scale in zip(parts, scales, strict=True)]
        np.testing.assert_allclose(value.numpy(), torch.stack(scaled).mean(0).numpy(), rtol=2e-4, atol=1e-4)
