"""A progress bar for whatever takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


@contextmanager
def progress(total: int, what: str, unit: str = "step", *, silent: bool = False) -> Iterator[tqdm[Any]]:
    """A progress bar, silent where nobody watches."""
    from tqdm import tqdm

    tqdm.set_lock(RLock())  # its own would be shared by processes, and start one that watches over it
    with tqdm(total=total, desc=what, unit=unit, disable=silent or None, leave=False, dynamic_ncols=True) as bar:
        yield bar


def counting(bar: tqdm[Any]) -> Callable[[int, int], None]:
    """What shows on the bar how many are done, and of how many."""

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
