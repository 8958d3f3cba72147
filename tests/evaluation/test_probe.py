"""Linear probes: their optimum against scipy's, what they see, and their scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from egopack.data.batch import Batch
from egopack.evaluation.probe import fit, probed, representations, seen
from egopack.model.network import Network
from egopack.model.regimes import multi_network
from egopack.nn.heads import segment_mean
from tests.support import small


def networks(name: str) -> tuple[Network, Network]:
    """A task alone and a pack of three others, as deep."""
    single = small.network_of(name)
    others = [one for one in ("ar", "oscc", "lta", "mq") if one != name][:3]
    tasks, labels = ({one: make(one) for one in others} for make in (small.task_params, small.sizes))
    pack = multi_network(small.WIDTH, small.backbone_params(), tasks, labels, levels=3)
    for seed, network in enumerate((single, pack)):
        small.randomize(network, seed)
    return single.eval(), pack.eval()


def of_label(batch: Batch) -> Tensor:
    """A feature that is the label, another that says nothing."""
    changes = batch.targets["changes"].float()
    return torch.stack([changes + 3, torch.linspace(0, 99, len(changes)).sin()], dim=1)


def test_the_optimum_is_that_of_logistic_regression_with_a_penalty() -> None:
    task = small.task_of("oscc").eval()
    generator = torch.Generator().manual_seed(0)

    def noisy(batch: Batch) -> Tensor:
        changes = batch.targets["changes"]
        return torch.randn(len(changes), 3, generator=generator) + changes[:, None]

    (part,) = seen(noisy, small.samples_of("oscc", 40), small.Features(), task, 2.0)
    probe = fit({"logits": (1, 2)}, [part], task, 0.01)
    x, y = part[1].double().numpy(), part[0].targets["changes"].numpy()
    x = (x - x.mean(0)) / x.std(0, ddof=1)

    def objective(w: np.ndarray) -> float:
        weight, bias = w[:6].reshape(2, 3), w[6:]
        logits = x @ weight.T + bias
        log_p = logits - np.logaddexp(logits[:, :1], logits[:, 1:])
        return float(-log_p[np.arange(len(y)), y].mean() + 0.01 * (weight**2).sum())

    best = minimize(objective, np.zeros(8), method="BFGS")
    found = np.concatenate([probe.linear.weight.detach().numpy().ravel(), probe.linear.bias.detach().numpy()])
    assert objective(found) == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(found[:6], best.x[:6], atol=5e-3)


def test_what_tells_the_label_is_found_and_what_does_not_is_chance() -> None:
    single, _ = networks("oscc")
    samples = {"train": small.samples_of("oscc", 60, 0), "val": small.samples_of("oscc", 60, 1)}
    common: dict[str, Any] = {"labels": small.LABELS["oscc"], "decode": None, "seed": 0}
    told = probed(of_label, single, "oscc", samples, small.Features(), **common)
    assert told["accuracy"] == 100
    told = probed(lambda batch: of_label(batch)[:, 1:], single, "oscc", samples, small.Features(), **common)
    assert 30 < (told["accuracy"] or 0) < 70


@pytest.mark.parametrize("name", ["ar", "oscc", "lta", "pnr", "mq"])
def test_every_task_can_be_probed_on_every_kind_of_features(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egopack.evaluation.probe.PENALTIES", (1e-3, 1e-1))
    monkeypatch.setattr("egopack.evaluation.probe.STEPS", 5)
    single, pack = networks(name)
    head = single.head(name)
    samples = {"train": small.samples_of(name, 8, 0), "val": small.samples_of(name, 5, 1)}
    for make in representations(name, single, pack).values():
        scores = probed(make, single, name, samples, small.Features(), small.LABELS[name], head.Decode(), 0)
        assert {*head.headline} <= {*scores}
        assert all(scores[metric] is not None for metric in head.headline)


@torch.no_grad()
def test_what_the_features_are() -> None:
    single, pack = networks("ar")
    found, batch = representations("ar", single, pack), small.batch_of(small.samples_of("ar"))
    assert batch.segment_nodes is not None
    assert torch.equal(found["raw"](batch), segment_mean(batch.x, batch.segment_nodes))
    assert torch.equal(found["single"](batch), single("ar", batch)["features"])  # what its classifiers see
    levels = pack.backbone(batch.x, batch.pyramid)
    necks = [segment_mean(pack.head(one).neck(levels[0]), batch.segment_nodes) for one in pack.spec.tasks]
    assert torch.equal(found["pack, necks"](batch), torch.cat(necks, 1))
    assert not torch.equal(found["untrained"](batch), found["pack, backbone"](batch))
    assert found["raw + necks"](batch).shape[1] == small.WIDTH + 3 * small.HIDDEN
    before = torch.random.get_rng_state()
    representations("ar", single, pack)
    assert torch.equal(torch.random.get_rng_state(), before)
