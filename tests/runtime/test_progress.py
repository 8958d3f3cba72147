"""What is told of steps where there is no bar."""

from __future__ import annotations

import time

import pytest

from egopack.runtime.progress import process_gb, progress, steps_in_lines


def test_a_line_every_so_many_steps_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    said: list[str] = []
    tell = steps_in_lines("single/ar", said.append, every=10)
    for done in range(21, 51):  # resumed after step 20
        tell(done, 200)
        now[0] += 0.5
    left = {30: "1:25", 40: "1:20", 50: "1:15"}
    assert said == [f"single/ar: step {done}/200  2.0 steps/s  {clock} left" for done, clock in left.items()]


def test_quiet_has_no_bar(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("EGOPACK_BAR", f"{tmp_path}/bar")
    with progress(3, "x") as bar:
        assert not bar.disable
    monkeypatch.setenv("EGOPACK_QUIET", "1")
    with progress(3, "x") as bar:
        assert bar.disable


def test_memory_is_that_of_the_process() -> None:
    before = process_gb()
    block = bytearray(200_000_000)
    assert process_gb() >= before
    assert 0.05 < process_gb() < 100
    del block
