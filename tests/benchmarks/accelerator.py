"""What a training step asks of an accelerator, counted on the portable path, and its time beside compiled code."""

from __future__ import annotations

from typing import Any

from egopack.nn.sums import portable
from egopack.training.loop import step
from egopack.training.optimizer import make_optimizer
from tests.benchmarks.measure import Work
from tests.benchmarks.workloads import SUPPORT, batch_of, network_of, optimizer_params, size_of
from tests.support.launches import Kept, Launches, Transfers

GOALS = {  # operations, megabytes kept for the way back, transfers
    "ar": {"launches": 120, "saved": 110, "transfers": 2},
    "mq": {"launches": 500, "saved": 500, "transfers": 2},
    "egopack_mq": {"launches": 1000, "saved": None, "transfers": 2},
}


def make(case: str, quick: bool) -> Work:
    """`launches_<kind>` operations of a step, `saved_<kind>` megabytes, `transfers_<kind>` copies to the device."""
    what, kind = case.split("_", maxsplit=1)
    novel, size = kind.removeprefix("egopack_"), size_of(quick)
    network = network_of((novel,), size, SUPPORT[novel] if novel != kind else ()).train()
    optimizer = make_optimizer(network, optimizer_params())
    loaded = batch_of(novel, size)
    batch = loaded.ready()

    def compiled() -> None:
        step(network, optimizer, {novel: batch}, 1.0)

    def ours() -> None:
        with portable():
            compiled()

    def counted() -> dict[str, Any]:
        count: float
        if what == "transfers":
            with Transfers() as transfers:
                loaded.to("meta")
            count = transfers.count
        elif what == "saved":
            kept = Kept(network)
            with portable(), kept:
                network.head(novel).loss(network(novel, batch), batch)
            count = round(kept.megabytes, 1)
        else:
            ours()  # what a first step prepares
            with Launches() as launches:
                ours()
            assert not launches.not_deterministic, launches.not_deterministic
            count = launches.count
        return {what: count, f"{what}_goal": GOALS[kind][what]}

    return Work(ours, compiled, "the same step in compiled code", extra=counted)
