"""The short form of `make fuzz`: the same damages every time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from egopack.errors import UserError
from tests.fuzz import run
from tests.fuzz.damage import damaged
from tests.fuzz.run import attack_apart
from tests.fuzz.targets import TARGETS, Target, classes

SEED, CASES, PARTS = 2026, 25, 3  # parts run side by side


@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_file_is_read_or_refused_in_one_line(part: int) -> None:
    names = [target.name for target in TARGETS][part::PARTS]
    faults = attack_apart(names, SEED, CASES)
    assert not faults, [f"python -m tests.fuzz.run {one['target']} {SEED} {CASES}" for one in faults]


def test_a_reader_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that takes too long, and one that says too much."""

    def read(folder: Path) -> None:
        content = (folder / "labels.json").read_bytes()
        if not content.startswith(b'{"verbs'):
            raise {0: KeyError("a"), 1: UserError("x" * 3000)}[len(content) % 2]
        while not content.endswith(b"}"):
            time.sleep(0.01)

    monkeypatch.setattr(run, "MOST_S", 0.2)
    monkeypatch.setattr(run, "TARGETS", [Target("labels.json", classes, read)])
    before = signal.signal(signal.SIGALRM, run._too_long)
    faults = run.attack("labels.json", SEED, 60)
    signal.signal(signal.SIGALRM, before)
    assert {one["fault"].split(":")[0] for one in faults} == {
        "KeyError",
        "no line of at most 2000 letters",
        "TooLongError",
    }
    assert "exit status 1" in attack_apart(["nothing"], SEED, 1)[0]["fault"]


def test_damages_are_many_and_repeat() -> None:
    content = b'{"a": [1, 2.5, "text"], "b": null}' * 3
    files = [damaged(content, np.random.default_rng([1, number])) for number in range(300)]
    assert files == [damaged(content, np.random.default_rng([1, number])) for number in range(300)]
    assert len(set(files)) > 200
    assert content not in set(files[:20])
