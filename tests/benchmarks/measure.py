"""Timing of two pieces of work side by side, and the memory of one."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[], object]


@dataclass(frozen=True)
class Work:
    """What a case measures: `ours` and what it is held against, `other`.

    `units` (ours, other): times are divided by them before they are compared (nodes, clips, operations ...).
    `check` raises AssertionError where the results are wrong; it may use what the last runs left behind.
    `prepare` is called before each run of either, and not timed.
    `slow_other`: the oracle takes so long that it runs once.
    """

    ours: Run
    other: Run
    against: str
    goal: float | None = None
    units: tuple[float, float] = (1.0, 1.0)
    check: Run = lambda: None
    slow_other: bool = False
    prepare: Run = lambda: None
    extra: Callable[[], Mapping[str, Any]] = field(default=dict)


def megabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def clock(run: Run) -> float:
    """Seconds that one call takes, without collecting garbage meanwhile."""
    gc.disable()
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    gc.enable()
    return seconds


def half_range(seconds: list[float]) -> float:
    """Half of the distance between the quartiles; of two or fewer, between the extremes."""
    if len(seconds) < 3:
        return (max(seconds) - min(seconds)) / 2
    low, _, high = statistics.quantiles(seconds, n=4)
    return (high - low) / 2


def measure(case: str, make: Callable[[], Work], *, seconds: float, most: int) -> dict[str, Any]:
    """Run a case in this process: `ours` first for its memory, then both in turn, A B A B.

    About `seconds` of measurement and at most `most` rounds. Keys: `seconds` and `spread` of ours (median, half the
    interquartile range), `against` and `against_seconds`, `ratio` of ours to the other per unit and its `goal`,
    `peak_mb` above what the process held before, `process_mb` in all, `rounds`, and what the case adds.
    """
    before = megabytes()
    work = make()

    def timed(run: Run) -> float:
        work.prepare()
        return clock(run)

    gc.freeze()  # what is there stays: no need to look through it again
    first = timed(work.ours)
    if most > 1:
        first = min(first, timed(work.ours))
    peak = megabytes()
    other = [timed(work.other)]
    work.check()
    if most > 1 and not work.slow_other:
        other = [timed(work.other)]  # without what its first call prepares
    rounds = max(1, min(most, int(seconds / (first + (0 if work.slow_other else other[0]) + 1e-9))))
    ours = []
    for _ in range(rounds):
        ours.append(timed(work.ours))
        if not work.slow_other:
            other.append(timed(work.other))
    other = other if work.slow_other else other[1:]
    gc.unfreeze()
    per_unit = statistics.median(ours) / work.units[0], statistics.median(other) / work.units[1]
    return {
        "case": case,
        "seconds": digits(statistics.median(ours)),
        "spread": digits(half_range(ours)),
        "against": work.against,
        "against_seconds": digits(statistics.median(other)),
        "ratio": digits(per_unit[0] / per_unit[1]),
        "goal": work.goal,
        "peak_mb": round(peak - before),
        "process_mb": round(peak),
        "rounds": rounds,
        **work.extra(),
    }


def digits(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")
