"""Ctrl-C and SIGTERM while a training runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from egopack.training.state import Scratch


@contextmanager
def stoppable(scratch: Scratch | None) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the step, whose state is then saved; a second one does not wait."""
    if scratch is None:
        yield
        return

    def ask(number: int, frame: object) -> None:
        if scratch.stop:
            raise KeyboardInterrupt
        scratch.stop = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
