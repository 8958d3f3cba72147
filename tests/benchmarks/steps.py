"""One training step (forward, loss, backward, clipping, Adam) over its floor: the step's matrix products alone."""

from __future__ import annotations

import torch

from egopack.training.loop import step
from egopack.training.optimizer import make_optimizer
from tests.benchmarks.floor import floor_of, products_of
from tests.benchmarks.measure import Work
from tests.benchmarks.workloads import SUPPORT, TASKS, batch_of, network_of, optimizer_params, size_of

GOALS = {"ar": 1.3, "oscc": 1.3, "mq": 1.3, "lta": 1.4, "pnr": 1.4, "multi": 1.5, "egopack_ar": 1.5, "egopack_mq": 1.5}


def make(case: str, quick: bool) -> Work:
    """The step `step_<task>`, `step_multi` or `step_egopack_<task>`."""
    size, kind = size_of(quick), case.removeprefix("step_")
    novel = kind.removeprefix("egopack_")
    names = TASKS if kind == "multi" else (novel,)
    network = network_of(names, size, SUPPORT[novel] if novel != kind else ()).train()
    optimizer = make_optimizer(network, optimizer_params())
    batches = {name: batch_of(name, size) for name in names}

    def forward() -> None:
        for name, batch in batches.items():
            network.head(name).loss(network(name, batch), batch)

    last = {}

    def ours() -> None:
        last["report"] = step(network, optimizer, batches, 1.0)

    def check() -> None:
        assert torch.isfinite(last["report"].grad_norm), "the step's gradient is not finite"

    products = products_of(forward)
    operations = sum(one.operations for one in products)
    return Work(
        ours,
        floor_of(products),
        "its matrix products",
        goal=GOALS[kind],
        check=check,
        extra=lambda: {"gflop": round(operations / 1e9, 2)},
    )
