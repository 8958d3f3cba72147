"""The short form of `make fuzz`: the same damages every time."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fuzz.damage import damaged
from tests.fuzz.run import attack_apart
from tests.fuzz.targets import TARGETS

SEED, CASES = 2026, 25


@pytest.mark.parametrize("name", [target.name for target in TARGETS])
def test_a_damaged_file_is_read_or_refused_in_one_line(name: str) -> None:
    faults = attack_apart(name, SEED, CASES)
    assert not faults, f"python -m tests.fuzz.run {name} {SEED} {CASES}"


def test_a_reader_that_fails_is_noticed() -> None:
    """Of a target that there is none of."""
    (fault,) = attack_apart("nothing", SEED, 1)
    assert "exit status 1" in fault["fault"]


def test_damages_are_many_and_repeat() -> None:
    content = b'{"a": [1, 2.5, "text"], "b": null}' * 3
    files = [damaged(content, np.random.default_rng([1, number])) for number in range(300)]
    assert files == [damaged(content, np.random.default_rng([1, number])) for number in range(300)]
    assert len(set(files)) > 200
    assert content not in set(files[:20])
