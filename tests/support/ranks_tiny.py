"""What one process and several must compute alike: python -m tests.support.ranks_tiny OUT FOLDER, once for each rank.

Writes OUT/<rank>.pt, and runs the stages that train in FOLDER.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egopack.data.loader import Loader
from egopack.evaluation import predict as prediction
from egopack.model.network import Network
from egopack.model.prototypes import Prototypes, build_prototypes
from egopack.model.regimes import multi_network, novel_network
from egopack.params import InteractionParams
from egopack.runtime import ranks as distributed
from egopack.runtime.ranks import Ranks, join, leave
from egopack.training import loop
from egopack.training.state import Scratch, digest_tensors
from tests.support import small
from tests.support.train_tiny import loaders_of, network_of, params_of

CPU = torch.device("cpu")
Found = dict[str, Any]
BATCH = 3  # of 7 samples: batches of 3, 3 and 1, and the last leaves a rank without any
STAGES = (
    ("train_single", "mq"),
    ("train_multi", "without_ar"),
    ("build_prototypes", "without_ar"),
    ("train_egopack", "ar"),
)


class StopError(Exception):
    """Stands for a kill, in the same process."""


@contextmanager
def steps_noted() -> Iterator[list[Found]]:
    """The loss terms and the gradient norm of every step of the trainings inside."""
    noted: list[Found] = []
    original = loop.summarize

    def noting(epoch: int, lr: float, reports: list[loop.StepReport]) -> loop.EpochReport:
        noted.extend({"losses": report.losses, "grad_norm": report.grad_norm} for report in reports)
        return original(epoch, lr, reports)

    loop.summarize = noting
    yield noted
    loop.summarize = original


def trained(network: Network, loaders: dict[str, Loader], ranks: Ranks, **extras: Any) -> Found:
    """The curve and the weights of a training of three epochs."""

    def evaluate(network: Network) -> dict[str, tuple[float, str]]:
        tables = [table_of(network, name, ranks) for name in network.task]
        return {"keys": (float(sum(len(table) for table in tables)), "max")}

    with steps_noted() as steps:
        reports = loop.train(network, loaders, params_of(**extras), device=CPU, evaluate=evaluate, ranks=ranks)
    return {"steps": steps, "weights": network.state_dict(), "scores": [report.scores for report in reports]}


def table_of(network: Network, name: str, ranks: Ranks) -> Any:
    decode = network.head(name).Decode()
    samples = small.samples_of(name, 7)
    return prediction.predict(network, name, samples, small.Features(), decode, seed=3, device=CPU, ranks=ranks)


def novel(name: str) -> Network:
    """A task and the help of two others."""
    support = [other for other in ("lta", "oscc", "pnr") if other != name][:2]
    torch.manual_seed(0)
    params, sizes = ({task: of(task) for task in support} for of in (small.task_params, small.sizes))
    pack = multi_network(small.WIDTH, small.backbone_params(), params, sizes, 3)
    rows = {task: torch.randn(5, small.HIDDEN) for task in support}
    prototypes = Prototypes(rows, torch.zeros(5, dtype=torch.int64), torch.arange(5))
    return novel_network(
        name, small.task_params(name), small.sizes(name), pack, prototypes, InteractionParams(k=2, hidden=4)
    )


def hollow() -> dict[str, Loader]:
    """AR clips of which most have no node in any segment, so that a rank, or all, need no neck."""
    loader = loaders_of(batch_size=2, tasks=("ar",))["ar"]
    between = [replace(sample, segments=np.full_like(sample.segments, 0.01)) for sample in loader.samples[2:]]
    loader.samples = [*loader.samples[:2], *between]
    return {"ar": loader}


def trainings(ranks: Ranks) -> dict[str, Found]:
    """Every regime, with batches that do not divide."""
    found = {
        f"single {name}": trained(small.network_of(name), loaders_of(BATCH, (name,)), ranks) for name in small.TASKS
    }
    everything = loaders_of(BATCH, small.TASKS)
    found["multi"] = trained(small.network_of(*small.TASKS), everything, ranks)
    extras = {"ema_decay": 0.9, "accumulate": 2, "evaluate_every": 1, "freeze": ["backbone"]}
    found["extras"] = trained(small.network_of(*small.TASKS), everything, ranks, **extras)
    found["hollow"] = trained(small.network_of("ar"), hollow(), ranks)
    return found | {f"egopack {name}": trained(novel(name), loaders_of(BATCH, (name,)), ranks) for name in small.TASKS}


def evaluations(ranks: Ranks) -> Found:
    """Tables of predictions of every task, and prototypes."""
    tables = {
        name: table_of(small.randomize(small.network_of(name)), name, ranks).to_json(double_precision=15)
        for name in small.TASKS
    }
    network = small.randomize(small.network_of("lta", "mq"))
    loader = Loader(small.samples_of("ar", 7), small.Features(), batch_size=2, levels=1, radius_s=2.0)
    prototypes = build_prototypes(network, loader, verbs=5, nouns=6, device=CPU, ranks=ranks)
    return {"tables": tables, "rows": prototypes.rows, "verb": prototypes.verb, "noun": prototypes.noun}


def resumed(ranks: Ranks, folder: Path, stop: int | None) -> Found:
    """A training with dropout that stops, perhaps, on all ranks at once and goes on from what rank 0 saved."""
    told: list[int] = []

    def run(stop: int | None) -> Found:
        torch.manual_seed(5)
        network = network_of()

        def on_step(done: int, total: int) -> None:
            if done == stop:
                raise StopError

        params = params_of(ema_decay=0.9, accumulate=2)
        scratch = Scratch(folder, 1)
        scratch.due = lambda step: True  # type: ignore[method-assign]
        options: dict[str, Any] = {"on_step": on_step, "on_resume": told.append, "scratch": scratch}
        reports = loop.train(network, loaders_of(), params, device=CPU, ranks=ranks, **options)
        seed = torch.randint(2**62, ()).item()
        return {
            "weights": digest_tensors(network.state_dict()),
            "losses": [one.losses for one in reports],
            "seed": seed,
        }

    if stop is not None:
        with suppress(StopError):
            run(stop)
    return run(None) | {"told": told}


def run_stages(ranks: Ranks, folder: Path) -> None:
    """The stages that train, in a folder that is ready for them."""
    import importlib

    distributed.join, distributed.leave = lambda: ranks, lambda ranks: None
    os.chdir(folder)
    for stage, argument in STAGES:
        importlib.import_module(f"stages.{stage}").main([argument], standalone_mode=False)
        ranks.all_gather(None)  # the next reads what rank 0 writes


def main(out: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    prediction.SAMPLES_AT_ONCE = 2
    ranks = join()
    found: Found = {"trainings": trainings(ranks), "evaluations": evaluations(ranks)}
    found["whole"] = resumed(ranks, out / "scratch-whole", None)
    found["resumed"] = resumed(ranks, out / "scratch-stopped", 4)
    torch.save(found, out / f"{ranks.rank}.pt")
    run_stages(ranks, folder)
    leave(ranks)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
