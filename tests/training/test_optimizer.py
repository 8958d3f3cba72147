from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from egopack.nn.tdgc import TDGC
from egopack.params import OptimizerParams
from egopack.training.optimizer import decayed_names, learning_rate, make_optimizer
from tests.support import small


def rate(step: int, total: int = 100, warmup: int = 20, lr: float = 2e-3, lr_min: float = 1e-8) -> float:
    return learning_rate(step, total=total, warmup=warmup, lr=lr, lr_min=lr_min)


def test_closed_form() -> None:
    assert rate(0) == pytest.approx(0.001 * 2e-3)
    assert rate(10) == pytest.approx((0.001 + 0.999 / 2) * 2e-3)
    assert rate(20) == 2e-3
    assert rate(60) == pytest.approx((2e-3 + 1e-8) / 2)
    assert rate(99) == pytest.approx(1e-8 + (2e-3 - 1e-8) * math.cos(math.pi * 79 / 160) ** 2)
    assert rate(100) == pytest.approx(1e-8)
    assert rate(0, warmup=0) == 2e-3
    assert rate(99, warmup=100) == pytest.approx(2e-3 * (0.001 + 0.999 * 0.99))
    assert rate(1000) == pytest.approx(1e-8)


def test_equals_the_schedulers_of_torch() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2e-3)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.001, 1.0, 20)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80, 1e-8)
    both = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, cosine], [20])
    for step in range(100):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate(step), rel=1e-5), step
        optimizer.step()
        both.step()


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 300))
def test_it_rises_then_falls_and_stays_between_its_ends(total: int, warmup: int, step: int) -> None:
    warmup = min(warmup, total)
    here, there = (rate(index, total, warmup) for index in (step, step + 1))
    assert 1e-8 <= here <= 2e-3 * (1 + 1e-12)
    assert (there >= here - 1e-15) if step < warmup else (there <= here + 1e-15)


def test_what_decays() -> None:
    network = small.network_of("lta", "mq", backbone=small.backbone_params(ffn=True, pre_norm=True, projection="mlp"))
    names = decayed_names(network)
    biases = {name for name in names if dict(network.named_parameters())[name].ndim < 2}
    convolutions = {f"{prefix}.bias" for prefix, module in network.named_modules() if isinstance(module, TDGC)}
    assert len(convolutions) == 3 * 2 + 2  # two a level, and two of LTA's head
    assert biases == convolutions
    assert all(name in names for name, value in network.named_parameters() if value.ndim >= 2)
    for name in ("task.mq.scales", "task.lta.neck.norm.weight", "backbone.level.0.conv.0.gate.1.bias"):
        assert name not in names
    assert decayed_names(TDGC(3)) == {"bias", "neighbor.weight", "root.weight", "gate.0.weight", "gate.1.weight"}


def test_every_parameter_is_in_one_group() -> None:
    network = small.network_of("lta")
    params = OptimizerParams(epochs=1, warmup_epochs=0, lr=0.1, weight_decay=0.3)
    optimizer = make_optimizer(network, params)
    names, found = decayed_names(network), {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert id(parameter) not in found
            found[id(parameter)] = group["weight_decay"]
    assert {name: found[id(parameter)] for name, parameter in network.named_parameters()} == {
        name: 0.3 if name in names else 0.0 for name, _ in network.named_parameters()
    }
    assert {group["lr"] for group in optimizer.param_groups} == {0.1}
