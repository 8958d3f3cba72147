"""The same inputs give the same bytes; another number of threads gives the same metrics."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.forked import Forks
from tests.pipeline.conftest import Floor

TRAININGS = ["train_single ar", "train_single mq", "train_multi all", "train_egopack mq"]


def hashes(floor: Floor, forks: Forks, stage: str) -> dict[str, str]:
    """Run a stage from nothing; SHA-256 of the files that it writes."""
    floor.clear(stage, persistent=True)
    done = forks.run(floor.path, *stage.split())
    assert done.status == 0, done.output
    assert "goes on after step" not in done.output
    written = {name: value for name, value in floor.content().items() if name.startswith(tuple(floor.outputs(stage)))}
    return {name: hashlib.sha256(value).hexdigest() for name, value in written.items()}


@pytest.mark.parametrize("stage", TRAININGS)
def test_trained_twice(stage: str, floor: Floor, forks: Forks) -> None:
    once = hashes(floor, forks, stage)
    assert len(once) == 3  # weights, specification, curves
    assert hashes(floor, forks, stage) == once
    floor.edit(lambda params: params.update(seed=1))
    other = hashes(floor, forks, stage)
    floor.edit(lambda params: params.update(seed=0))
    assert sum(other[name] != once[name] for name in once) == 2
    assert hashes(floor, forks, stage) == once


@pytest.mark.parametrize("task", ["ar", "mq"])
def test_threads_change_no_metric(task: str, floor: Floor, forks: Forks) -> None:
    weights = floor.path / "data" / "models" / "single" / task / "model.safetensors"
    found = {}
    for threads in (1, 2):
        floor.edit(lambda params, threads=threads: params["runtime"].update(threads=threads))
        for stage in (f"train_single {task}", f"evaluate_single {task}"):
            hashes(floor, forks, stage)
        found[threads] = json.loads((floor.path / "metrics" / "single" / f"{task}.json").read_text())
        assert weights.exists()
    floor.edit(lambda params: params["runtime"].update(threads=0))
    for stage in (f"train_single {task}", f"evaluate_single {task}"):
        hashes(floor, forks, stage)
    assert floor.content() == floor.whole
    assert found[1].keys() == found[2].keys()
    for name, value in found[1].items():
        assert found[2][name] == pytest.approx(value, abs=1e-3), name
