"""A progress bar for whatever takes long, lines where nobody watches, and the memory that was held."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

QUIET = "EGOPACK_QUIET"  # environment: no bars
BAR = "EGOPACK_BAR"  # environment: a file to draw bars into, for a program that shows those of several processes


@contextmanager
def progress(total: int, what: str, unit: str = "step", *, silent: bool = False) -> Iterator[tqdm[Any]]:
    """A progress bar, silent where nobody watches."""
    from tqdm import tqdm

    silent = silent or QUIET in os.environ
    tqdm.set_lock(RLock())  # its own would be shared by processes, and start one that watches over it
    name = "" if silent else os.environ.get(BAR, "")
    with (
        open(name, "w", encoding="utf-8") if name else nullcontext() as file,
        tqdm(
            total=total,
            desc=what,
            unit=unit,
            disable=None if not silent and file is None else silent,
            file=file,
            leave=False,
            dynamic_ncols=file is None,
            ncols=80 if file else None,
        ) as bar,
    ):
        yield bar


def steps_in_lines(name: str, say: Callable[[str], object], every: int = 100) -> Callable[[int, int], None]:
    """What tells of every so many steps in a line, with their rate and the time that is left, where there is no bar."""
    begin: list[tuple[int, float]] = []

    def show(done: int, total: int) -> None:
        now = time.monotonic()
        if not begin:
            begin.append((done, now))  # a run that resumes begins further on
        elif done % every == 0:
            rate = (done - begin[0][0]) / max(now - begin[0][1], 1e-9)
            left = round((total - done) / rate)
            say(f"{name}: step {done}/{total}  {rate:.1f} steps/s  {left // 60}:{left % 60:02d} left")

    return show


def counting(bar: tqdm[Any]) -> Callable[[int, int], None]:
    """What shows on the bar how many are done, and of how many."""

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def process_gb() -> float:
    """The most memory that this process has held, in GB; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
