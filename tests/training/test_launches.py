"""The portable path is that of an accelerator: the same bytes every time, and few operations."""

from __future__ import annotations

import pytest
import torch

from egopack.model.network import Network
from egopack.nn.sums import portable
from egopack.training.loop import step
from egopack.training.optimizer import make_optimizer
from tests.benchmarks.workloads import optimizer_params
from tests.support import small
from tests.support.launches import Launches
from tests.support.networks import novel_network


def counted(network: Network, name: str) -> Launches:
    """A step on the portable path."""
    batches = {name: small.batch_of(small.samples_of(name), levels=3 if name == "mq" else 1).ready()}
    optimizer = make_optimizer(network, optimizer_params())
    with portable():
        step(network.train(), optimizer, batches, 1.0)  # what a first step prepares
        with Launches() as launches:
            step(network, optimizer, batches, 1.0)
    return launches


@pytest.mark.parametrize("name", small.TASKS)
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_step_is_deterministic_by_construction(name: str, dropout: float) -> None:
    network = small.network_of(name, backbone=small.backbone_params(dropout=dropout))
    assert not counted(network, name).not_deterministic


@pytest.mark.parametrize("name", small.TASKS)
def test_so_is_one_that_a_pack_helps(name: str) -> None:
    assert not counted(novel_network(name), name).not_deterministic


@pytest.mark.parametrize("changes", [{"pool": "max"}, {"pool": "subsample"}], ids=str)
def test_so_is_every_pooling(changes: dict[str, str]) -> None:
    assert not counted(small.network_of("mq", backbone=small.backbone_params(**changes)), "mq").not_deterministic


def test_what_is_counted() -> None:
    x, index = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 1])
    with Launches() as launches:
        x[index].sum().backward()  # an index_put that accumulates
        torch.zeros(4).index_add(0, index, torch.ones(3))
        x.detach().cumsum(0)
        index.cumsum(0)
    assert sum(launches.not_deterministic.values()) == 3, launches.not_deterministic
    assert launches.found["index"] == 1
    assert "detach" not in launches.found
