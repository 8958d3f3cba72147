"""What users wait for before anything happens: a stage's help, and its imports over those of torch alone."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.measure import Run, Work

TRAINING = ", ".join(
    f"egopack.{module}" for module in ("data.shard_reader", "data.splits", "tasks.mq", "model.regimes", "training.run")
)
EVALUATING = "egopack.evaluation.predict, egopack.evaluation.evaluate"


def make(case: str, quick: bool) -> Work:
    if case == "help":
        ours, other, against, goal = ["-m", "stages.train_single", "--help"], ["-c", ""], "an empty Python", None
        return Work(python(*ours), python(*other), against, goal, extra=lambda: {"goal_seconds": 0.3})
    ours = ["-c", f"import stages, {TRAINING}, {EVALUATING}"]
    other = ["-c", "import torch"]
    return Work(python(*ours), python(*other), "import torch", extra=lambda: {"goal_seconds_more": 1.0})


def python(*arguments: str) -> Run:
    """A Python process of its own."""

    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    return run
