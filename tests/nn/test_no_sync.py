"""No forward pass and no loss waits for the device: none asks the host for a value or a size that depends on one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from egopack.model.network import Network
from tests.support import small
from tests.support.networks import novel_network

WAITING = ("local_scalar_dense", "nonzero", "unique", "masked_select", "equal", "is_nonzero")


class Waits(TorchDispatchMode):
    """Counts the operations that a device would have to finish before the host goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        boolean = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]
        )
        repeats = name == "repeat_interleave" and not (kwargs or {}).get("output_size")
        if boolean or repeats or name.strip("_").rstrip("2") in WAITING:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def total_loss(network: Network, name: str) -> Tensor:
    batch = small.batch_of(small.samples_of(name), levels=3 if name == "mq" else 1).ready()
    network(name, batch)  # what a first call fills (edges of anticipation) is made on the host
    with Waits() as waits:
        terms = network.head(name).loss(network(name, batch), batch)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
    assert not waits.found
    return loss


@pytest.mark.parametrize("name", small.TASKS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_single_task(name: str, training: bool, code_path: str) -> None:
    assert total_loss(small.network_of(name).train(training), name).isfinite()


@pytest.mark.parametrize("name", small.TASKS)
def test_egopack(name: str, code_path: str) -> None:
    assert total_loss(novel_network(name).train(), name).isfinite()


def test_what_is_counted() -> None:
    x = torch.tensor([1.0, 0.0, 2.0])
    with Waits() as waits:
        x.sum().item()
        x.nonzero()
        x.unique()
        x.masked_select(x > 0)
        x[x > 0]
        x.repeat_interleave(torch.tensor([1, 2, 1]))
        x.repeat_interleave(torch.tensor([1, 2, 1]), output_size=4)
        torch.where(x > 0, x, 0.0)
    assert sum(waits.found.values()) == 6, waits.found
