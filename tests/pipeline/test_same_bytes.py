"""The same inputs give the same bytes, on any processor where params say so; elsewhere the same metrics."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.pipeline.conftest import Clone, Floor
from tests.support.forked import Forks

WAYS = {  # that another machine may be: its processor, its threads, how many stages at once
    "SSE4.2, two at once": ({"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}, 2),
    "AVX2, two threads": ({"MKL_ENABLE_INSTRUCTIONS": "AVX2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}, 1),
    "two threads, two at once": ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}, 2),
    "another C library": ({"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA"}, 2),
}
TRAININGS = ["train_single ar", "train_single mq", "train_multi all", "train_egopack mq"]


def hashes(floor: Floor, forks: Forks, stage: str, *, plain: bool = False) -> dict[str, str]:
    """Run a stage from nothing; SHA-256 of the files that it writes."""
    floor.clear(stage, persistent=True)
    done = forks.run(floor.path, *stage.split(), plain=plain)
    assert done.status == 0, done.output
    assert "resumes after step" not in done.output
    written = {name: value for name, value in floor.content().items() if name.startswith(tuple(floor.outputs(stage)))}
    return {name: hashlib.sha256(value).hexdigest() for name, value in written.items()}


@pytest.mark.parametrize("stage", TRAININGS)
def test_trained_twice(stage: str, floor: Floor, forks: Forks) -> None:
    once = hashes(floor, forks, stage)
    assert len(once) == 5  # weights, config, card, curves twice
    assert hashes(floor, forks, stage) == once
    floor.edit(lambda params: params.update(seed=1))
    other = hashes(floor, forks, stage)
    floor.edit(lambda params: params.update(seed=0))
    assert sum(other[name] != once[name] for name in once) == 3
    assert hashes(floor, forks, stage) == once


@pytest.mark.parametrize(
    "stage", [*TRAININGS, "evaluate_single mq", "build_prototypes without_mq", "evaluate_multi all"]
)
def test_another_processor_gives_the_same_bytes(stage: str, floor: Floor, forks: Forks) -> None:
    assert hashes(floor, forks, stage, plain=True)
    assert floor.content() == floor.whole


@pytest.mark.parametrize("task", ["ar", "mq"])
def test_here_threads_and_processors_change_no_metric(task: str, floor: Floor, forks: Forks) -> None:
    weights, metrics = f"data/models/single/{task}/model.safetensors", floor.path / f"metrics/single/{task}.json"

    def ways(threads: int, plain: bool = False) -> tuple[str, dict[str, float]]:
        floor.edit(lambda params: params["runtime"].update(threads=threads, reproducible="here"))
        trained = hashes(floor, forks, f"train_single {task}", plain=plain)
        hashes(floor, forks, f"evaluate_single {task}", plain=plain)
        return trained[weights], json.loads(metrics.read_text())

    two, plain, one = ways(2), ways(1, plain=True), ways(1)
    assert plain[0] != one[0]  # it did compute otherwise
    assert len(one[1]) >= 1
    for other in (two, plain):
        assert other[1] == pytest.approx(one[1], abs=1e-3)


@pytest.mark.drill
@pytest.mark.parametrize("way", WAYS)
def test_other_machines_end_in_the_same_lock(way: str, reproduced: Clone, tmp_path: Path) -> None:
    """The whole pipeline, from nothing."""
    variables, jobs = WAYS[way]
    other = reproduced.from_nothing(tmp_path / "other")
    other.environment |= variables
    other.run("python", "-m", "stages.repro", "--jobs", str(jobs))
    assert other.git("status", "--porcelain") == ""
