"""A progress bar for whatever takes long."""

from __future__ import annotations

import os
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


def counting(bar: tqdm[Any]) -> Callable[[int, int], None]:
    """What shows on the bar how many are done, and of how many."""

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
