"""bf16 trains every task close to float32, with positions, sums and losses in full precision."""

from __future__ import annotations

import pytest
import torch

from egopack.data.sparse import Groups
from egopack.nn.heads import video_mean
from egopack.nn.sums import full_precision
from egopack.nn.tdgc import TDGC
from egopack.training.loop import EpochReport, loss_terms, train
from tests.support import small
from tests.support.train_tiny import loaders_of, params_of

CPU = torch.device("cpu")


def reports_of(name: str, precision: str) -> list[EpochReport]:
    network = small.network_of(name)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # its masks differ between the precisions
    return train(network, loaders_of(tasks=(name,)), params_of(), device=CPU, precision=precision)


@pytest.mark.parametrize("name", small.TASKS)
def test_bf16_trains_close_to_float32(name: str) -> None:
    for fast, exact in zip(reports_of(name, "bf16"), reports_of(name, "fp32"), strict=True):
        assert fast.losses == pytest.approx(exact.losses, rel=0.02, abs=0.01)
        assert fast.losses != exact.losses


@pytest.mark.parametrize("name", small.TASKS)
def test_losses_and_weights_are_float32(name: str) -> None:
    network = small.network_of(name).train()
    seen = []
    network.backbone.projection[0].register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    batch, _ = next(loaders_of(tasks=(name,))[name].epoch())
    terms = loss_terms(network, name, batch, "bf16")
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert seen == [torch.bfloat16]
    torch.stack(list(terms.values())).sum().backward()
    assert {p.grad.dtype for p in network.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.parametrize("name", small.TASKS)
def test_levels_norms_and_outputs_are_float32(name: str) -> None:
    network = small.network_of(name).train()
    normed: list[torch.dtype] = []
    for module in network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.register_forward_pre_hook(lambda module, args: normed.append(args[0].dtype))
    batch, _ = next(loaders_of(tasks=(name,))[name].epoch())
    with torch.autocast("cpu", torch.bfloat16):
        levels = network.backbone(batch.x, batch.pyramid)
        outputs = network(name, batch)
    assert {x.dtype for x in (*levels, *outputs.values())} == {torch.float32}
    assert set(normed) == {torch.float32}


def test_positions_stay_in_full_precision() -> None:
    torch.manual_seed(0)
    conv = TDGC(4, gate_size=3)
    distances = torch.linspace(0, 2, 100)
    expected = conv.gates(distances)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(conv.gates(distances), expected)


def test_means_over_many_nodes_do_not_saturate() -> None:
    x = torch.ones(5000, 2, dtype=torch.bfloat16)
    assert torch.equal(video_mean(x, Groups(torch.zeros(5000, dtype=torch.int64), 1)), torch.ones(1, 2))
    assert full_precision(x).dtype == torch.float32
    assert full_precision(x.double()).dtype == torch.float64
