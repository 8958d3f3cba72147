"""The committed comparison: every regime beats chance clearly on every task."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.evaluation.comparison import read_comparison
from egopack.tasks.base import load_task

COMPARISON = read_comparison(Path(__file__).resolve().parents[2] / "metrics", ("ar", "oscc", "lta", "pnr", "mq"))
CLEARLY = 0.05  # of chance's own value, and at least so much of what is left to gain


@pytest.mark.parametrize("regime", ["single", "multi", "egopack"])
@pytest.mark.parametrize("name", COMPARISON)
def test_beats_chance(name: str, regime: str) -> None:
    task, metric = name.split(".", 1)
    chance, value = COMPARISON[name]["chance"], COMPARISON[name][regime]
    if load_task(task).headline[metric] == "max":
        assert value > chance + CLEARLY * (100 - chance)
    else:
        assert value < chance * (1 - CLEARLY)
