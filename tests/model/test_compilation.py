"""torch.compile of the network's blocks: the same training, the same names, and a clear word where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from egopack.errors import UserError
from egopack.model.compilation import BLOCKS, compiled
from egopack.model.network import Network
from egopack.nn.backbone import LevelBlock
from egopack.training.loop import EpochReport, train
from tests.support.train_tiny import loaders_of, network_of, params_of

TASKS = ("mq",)  # of several levels


def trained(network: Network) -> list[EpochReport]:
    torch.manual_seed(1)
    return train(network, loaders_of(tasks=TASKS), params_of(), device=torch.device("cpu"))


def test_compiled_trains_as_it_does_otherwise() -> None:
    plain, fast = network_of(TASKS), network_of(TASKS)
    names = list(plain.state_dict())
    expected = trained(plain)
    counters.clear()
    with compiled(fast, "runtime.compile"):
        reports = trained(fast)
        assert list(fast.state_dict()) == names
    for one, other in zip(reports, expected, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-4)
    for name, value in fast.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], rtol=1e-3, atol=1e-4)
    # one form of a block serves all levels and batches; were each compiled anew, torch would give up after 8
    assert 0 < counters["stats"]["unique_graphs"] < 40
    assert not counters["recompile_limit"]


def test_blocks_are_left_as_they_were() -> None:
    network = network_of(TASKS)
    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    assert sum(isinstance(block, LevelBlock) for block in blocks) == len(network.backbone.level)
    with compiled(network, "runtime.compile"):
        assert all(block._compiled_call_impl is not None for block in blocks)
    assert all(block._compiled_call_impl is None for block in blocks)


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()
    network = network_of(TASKS)
    with (
        config.patch({"cpp.cxx": (None, str(tmp_path / "c++")), "fx_graph_cache": False}),
        pytest.raises(UserError, match=r"^params.yaml: runtime.compile: torch cannot compile here .*; set it to f"),
        compiled(network, "params.yaml: runtime.compile"),
    ):
        trained(network)
