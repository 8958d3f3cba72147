"""Train a tiny network in a process of its own, as the tests that stop it do: python -m tests.support.train_tiny OUT
SCRATCH [JSON of settings]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from egopack.data.loader import Loader
from egopack.model.checkpoint import save_checkpoint
from egopack.model.network import Network
from egopack.params import OptimizerParams
from egopack.training.curves import write_curves
from egopack.training.loaders import train_loader
from egopack.training.loop import Evaluate, train
from egopack.training.state import Scratch
from tests.support import small

TASKS = ("ar", "mq")


def loaders_of(batch_size: int = 2, tasks: tuple[str, ...] = TASKS, count: int = 5) -> dict[str, Loader]:
    return {
        name: train_loader(
            name,
            small.task_params(name),
            small.samples_of(name, count + len(name)),
            small.Features(),
            batch_size=batch_size,
            radius_s=2.0,
            seed=3,
        )
        for name in tasks
    }


def network_of(tasks: tuple[str, ...] = TASKS) -> Network:
    """With dropout, so that the generator's state matters."""
    return small.network_of(*tasks, backbone=small.backbone_params(dropout=0.2))


def params_of(**extras: Any) -> OptimizerParams:
    return OptimizerParams.model_validate({"epochs": 3, "warmup_epochs": 1, "lr": 1e-3, "extras": extras})


def alternating() -> Evaluate:
    """A score that rises and falls with the weights."""

    def evaluate(network: Network) -> dict[str, tuple[float, str]]:
        total = sum(float(value.double().abs().sum()) for value in network.state_dict().values())
        return {"a": (total % 1.0, "max"), "b": (total * 7 % 1.0, "min")}

    return evaluate


def main(out: Path, scratch: Path, every: int, delay_s: float, extras: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    network = network_of()
    keep = Scratch(scratch, every) if every else None
    reports = train(
        network,
        loaders_of(),
        params_of(**extras),
        device=torch.device("cpu"),
        evaluate=alternating(),
        scratch=keep,
        on_step=lambda done, total: time.sleep(delay_s),
        on_resume=lambda step: print(f"resumed {step}", flush=True),
    )
    save_checkpoint(out, network)
    write_curves(out / "curves.csv", reports)
    if keep is not None:
        keep.clear()


if __name__ == "__main__":
    settings = json.loads(sys.argv[3])
    main(Path(sys.argv[1]), Path(sys.argv[2]), settings["every"], settings["delay_s"], settings["extras"])
