"""What only a GPU can show; `make check-gpu` runs this beside the parity fixtures."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from egopack.model.compilation import compiled
from egopack.params import RuntimeParams
from egopack.runtime.device import set_up
from egopack.training.loop import Losses, step
from egopack.training.optimizer import make_optimizer
from egopack.training.state import digest_tensors
from tests.benchmarks.workloads import optimizer_params
from tests.support import small
from tests.support.networks import novel_network

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def trained(name: str, helped: bool, precision: str, compiling: bool) -> str:
    """Digest of the weights after some steps on the GPU."""
    device = set_up(RuntimeParams(device="cuda"), 0)
    backbone = small.backbone_params(dropout=0.1)
    network = (novel_network(name) if helped else small.network_of(name, backbone=backbone)).to(device).train()
    optimizer, losses = make_optimizer(network, optimizer_params()), Losses(network, precision)
    with compiled(network, "runtime.compile") if compiling else nullcontext():
        for seed in range(3):
            batch = small.batch_of(small.samples_of(name, seed=seed), levels=3 if name == "mq" else 1).to(device)
            report = step(network, optimizer, {name: batch}, 1.0, losses=losses)
            assert report.grad_norm.isfinite()
    return digest_tensors(network.state_dict())


@pytest.mark.parametrize("compiling", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("helped", [False, True], ids=["single", "egopack"])
@pytest.mark.parametrize("name", small.TASKS)
def test_the_same_bytes_twice(name: str, helped: bool, precision: str, compiling: bool) -> None:
    assert trained(name, helped, precision, compiling) == trained(name, helped, precision, compiling)
