"""The drill: stages that are killed, interrupted, or denied a disk to write to. Nothing half-written is taken for
whole, what is wrong is told in one line, and the next run ends as if nothing had happened.
"""

from __future__ import annotations

import re
import signal
from itertools import count

import numpy as np
import pytest

from egopack.files import PARTIAL
from tests.pipeline.conftest import Floor
from tests.support.forked import Ended, Forks, write_protected

KINDS = {
    # stage: one that reads what it writes
    "synthesize": "fingerprint",
    "shard": "index ar",
    "index mq": "train_single mq",
    "train_single ar": "evaluate_single ar",
    "build_prototypes without_mq": "train_egopack mq",
    "evaluate_multi all": "compare",
    "compare": "compare",
}
OTHERS = ["count", "fill_pack all", "train_multi all", "train_egopack mq", "evaluate_single ar", "evaluate_egopack mq"]
KILLS = 20


def run(floor: Floor, forks: Forks, stage: str, *, anew: bool = True, **injuries: object) -> Ended:
    """Run a stage as DVC does, its outputs taken away before."""
    floor.clear(stage, persistent=anew)
    return forks.run(floor.path, *stage.split(), **injuries)


def check_whole_or_absent(floor: Floor, stage: str) -> None:
    """Outputs of the stage are whole, or lack, or are named as unfinished; all else is as it was. Curves have the
    epochs so far, for they are looked at while a stage trains.
    """
    found = {name: value for name, value in floor.content().items() if PARTIAL not in name}
    curves = {name for name in found if name.startswith("metrics/curves/")}
    assert all(floor.whole[name].startswith(found[name]) for name in curves)
    assert {name for name in found.keys() - curves if floor.whole.get(name) != found[name]} == set()
    outputs = tuple(floor.outputs(stage))
    assert {name for name in floor.whole.keys() - found.keys() if not name.startswith(outputs)} == set()


def check_as_if_nothing_had_happened(floor: Floor, forks: Forks, stage: str) -> Ended:
    done = run(floor, forks, stage, anew=False)
    assert done.status == 0, done.output
    found = floor.content()
    assert found.keys() == floor.whole.keys()  # nothing unfinished is left either
    assert [name for name in found if found[name] != floor.whole[name]] == []
    return done


def check_one_line(done: Ended) -> str:
    """The stage failed and said why in one line; what it said before does not matter."""
    assert done.status == 1, done.output
    assert "Traceback" not in done.output
    said = done.output.rstrip().splitlines()
    assert [line for line in said if line.startswith("Error: ")] == said[-1:], done.output
    return said[-1]


@pytest.mark.parametrize("stage", KINDS)
def test_killed_at_random_moments(stage: str, floor: Floor, forks: Forks) -> None:
    generator = np.random.default_rng(0)
    lasts = run(floor, forks, stage).seconds
    killed, said = 0, ""
    for _ in range(5 * KILLS):
        anew = bool(generator.random() < 0.5)
        done = run(floor, forks, stage, anew=anew, after=float(generator.uniform(0, lasts)))
        assert done.status in (0, -signal.SIGKILL), done.output
        killed += done.status != 0
        said += done.output
        check_whole_or_absent(floor, stage)
        if killed == KILLS:
            break
    assert killed == KILLS
    said += check_as_if_nothing_had_happened(floor, forks, stage).output
    assert ("resumes after step" in said) == stage.startswith("train")


@pytest.mark.drill
@pytest.mark.parametrize("stage", KINDS)
def test_killed_before_each_change_of_a_file(stage: str, floor: Floor, forks: Forks) -> None:
    for number in count():
        done = run(floor, forks, stage, stop_at=number)
        check_whole_or_absent(floor, stage)
        if done.status == 0:
            break
        if number % 6 == 0:
            reader = forks.run(floor.path, *KINDS[stage].split())
            assert reader.status == 0 or check_one_line(reader)
            check_whole_or_absent(floor, stage)
    assert number >= 5
    check_as_if_nothing_had_happened(floor, forks, stage)


@pytest.mark.parametrize("stage", KINDS)
def test_interrupted_by_the_keyboard(stage: str, floor: Floor, forks: Forks) -> None:
    for number in range(0, 100, 7):
        done = run(floor, forks, stage, stop_at=number, by=signal.SIGINT)
        if done.status == 0:
            break
        assert done.status == 1
        assert done.output.endswith("\nAborted!\n") or done.output == "Aborted!\n", done.output
        check_whole_or_absent(floor, stage)
        assert not [name for name in floor.content() if PARTIAL in name]
    assert number > 0
    check_as_if_nothing_had_happened(floor, forks, stage)


@pytest.mark.parametrize("send", [signal.SIGINT, signal.SIGTERM])
def test_a_training_told_to_stop_keeps_its_last_step(send: signal.Signals, floor: Floor, forks: Forks) -> None:
    stage, generator = "train_single ar", np.random.default_rng(1)
    lasts = run(floor, forks, stage).seconds
    floor.edit(lambda params: params["runtime"].update(save_every=10_000))
    for _ in range(5 * KILLS):
        done = run(floor, forks, stage, after=float(generator.uniform(0, lasts)), send=send)
        if stopped := re.search(r"stopped after step (\d+)", done.output):
            break
    floor.edit(lambda params: params["runtime"].update(save_every=1))
    assert stopped
    assert done.output.endswith("\nAborted!\n")
    assert done.status == 1
    assert f"resumes after step {stopped[1]} " in check_as_if_nothing_had_happened(floor, forks, stage).output


@pytest.mark.parametrize("stage", [*KINDS, *OTHERS, "fingerprint"])
def test_no_disk_to_write_to(stage: str, floor: Floor, forks: Forks) -> None:
    for room in (0, 100):
        line = check_one_line(run(floor, forks, stage, room=room))
        assert "File too large" in line
        check_whole_or_absent(floor, stage)
        assert not [name for name in floor.content() if PARTIAL in name]
    floor.clear(stage, persistent=True)
    with write_protected(floor.path / "data", floor.path / "metrics"):
        line = check_one_line(forks.run(floor.path, *stage.split(), read_only=True))
        assert "Permission denied" in line
        check_whole_or_absent(floor, stage)
    check_as_if_nothing_had_happened(floor, forks, stage)
