"""A checkpoint folder of a small network with random weights that knows its grid and its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from egopack.model.checkpoint import save_checkpoint
from egopack.model.config import About, about
from egopack.model.network import Network
from egopack.params import FeatureSet
from tests.support import small

SETS = {"egovlp": FeatureSet(size=small.WIDTH)}


def known_of(network: Network, sets: dict[str, FeatureSet] | None = None, **more: Any) -> About:
    labels = {task: small.LABELS[task] for task in network.task}
    return about("multi/all", sets or SETS, labels).model_copy(update=more)


def released(folder: Path, *tasks: str, sets: dict[str, FeatureSet] | None = None, **model: Any) -> Network:
    """Write the folder; the network whose weights are in it, for a test to compare with."""
    network = small.randomize(small.network_of(*tasks, **model)).eval()
    save_checkpoint(folder, network, known=known_of(network, sets))
    return network


def footage(rows: int, seed: int = 0, width: int = small.WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)
