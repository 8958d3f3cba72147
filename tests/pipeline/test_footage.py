"""From pixels to a timeline, by what the README tells a user with some videos and a table to type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from egopack.files import read_json
from tests.pipeline.conftest import copy_of_the_project
from tests.pipeline.test_readme import commands, section
from tests.support.shapes import Shown, write_own, write_shapes

pytestmark = pytest.mark.drill

TIMES_CHANCE = 3
AS_MAKE = {"make repro": ["python", "-m", "stages.repro"]}  # without setting up a .venv


def test_pixels_to_timeline(tmp_path: Path) -> None:
    clone = copy_of_the_project(tmp_path / "clone")
    clone.environment.pop("FOOTAGE_ROOT", None)
    write_own(clone.path / "data/raw/own", videos=20, seconds=30.0, seed=0)
    (clone.path / "data/raw/own/videos").rename(clone.path / "videos")
    truth = write_shapes(clone.path / "new.mp4", 30.0, np.random.default_rng(100))
    clone.commit()
    said = {}
    for command in commands(section("Your own footage")):
        words = " ".join(command)
        said[words] = clone.run(*AS_MAKE.get(words, command)).stdout
    assert "20 videos can be used" in said["python -m stages.check"]
    chance = {task: read_json(clone.path / f"metrics/chance/{task}.json") for task in ("ar", "mq")}
    for regime in ("single", "egopack"):
        for task, metric in (("ar", "verb_top1"), ("ar", "noun_top1"), ("mq", "map")):
            scored = read_json(clone.path / f"metrics/{regime}/{task}.json")[metric]
            assert scored >= TIMES_CHANCE * chance[task][metric], (regime, task, metric, scored, chance[task][metric])
    assert found_of(truth, pd.DataFrame(read_json(clone.path / "new.json")["new"]["mq"])) >= len(truth) / 2
    page = (clone.path / "new.html").read_text(encoding="utf-8")
    assert "<figure" in page
    assert truth[0].verb in page


def found_of(truth: list[Shown], predicted: pd.DataFrame) -> int:
    """How many of the segments are among as many of the best predictions, by their names and half of their time."""
    best = predicted.nlargest(len(truth), "score")
    count = 0
    for one in truth:
        own = best[best["label"] == one.verb]
        shared = own["end"].clip(upper=one.end) - own["start"].clip(lower=one.start)
        whole = own["end"].clip(lower=one.end) - own["start"].clip(upper=one.start)
        count += bool((shared / whole >= 0.5).any())
    return count
