"""torch.compile of the network's blocks: the same training, the same names, and a clear word where it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from egopack.errors import UserError
from egopack.model.compilation import BLOCKS, compiled
from egopack.model.network import Network
from egopack.nn.backbone import LevelBlock
from egopack.nn.sums import portable
from egopack.training.loop import EpochReport, step, train
from egopack.training.optimizer import make_optimizer
from tests.benchmarks.workloads import optimizer_params
from tests.support import small
from tests.support.launches import Launches, Profiled
from tests.support.networks import novel_network
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


@pytest.mark.parametrize(
    "name", ["ar", *(pytest.param(name, marks=pytest.mark.drill) for name in ("mq", "egopack_ar"))]
)
def test_an_accelerators_path_compiled_is_the_same_in_fewer_operations(name: str) -> None:
    task = name.removeprefix("egopack_")

    def fresh() -> Network:
        torch.manual_seed(0)
        return (small.network_of(task) if name == task else novel_network(task)).train()

    plain, fast, counted = fresh(), fresh(), fresh()
    batch = small.batch_of(small.samples_of(task), levels=3 if task == "mq" else 1).ready()

    def stepping(network: Network) -> Callable[[], None]:
        optimizer = make_optimizer(network, optimizer_params())

        def one() -> None:
            torch.manual_seed(1)
            step(network, optimizer, {task: batch}, 1.0)

        return one

    with portable():
        work = stepping(counted)
        work()
        with Profiled() as profiled:
            eager = profiled.count(work)
        with Launches() as launches:
            work()
        assert eager == launches.count  # both count the same where nothing is compiled
        work = stepping(plain)
        for _ in range(3):
            work()
        torch._dynamo.reset()
        with Profiled() as profiled, compiled(fast, "runtime.compile"):
            work = stepping(fast)
            for _ in range(2):
                work()
            assert profiled.count(work) < 0.8 * eager
    assert profiled.found["fused"] > 0
    for key, value in fast.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[key], rtol=1e-3, atol=1e-4)
