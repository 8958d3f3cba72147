"""How a rank ends when it cannot go on: one of them says what went wrong, in one line."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import NoReturn

from egopack.runtime.ranks import KEPT_STEP, Ranks

GRACE_S = 1.5  # for a rank to say that it still runs


class LastWords:
    """How a rank ends when it cannot go on: the first of all that end so says why, in one line."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks, self.lock = ranks, threading.Lock()

    def end(self, message: str | None = None) -> NoReturn:
        """End the process, with exit status 1; without a message, tell of the ranks that are gone."""
        with self.lock:
            try:
                self.ranks.note(f"rank {self.ranks.rank}", "still runs")
                text = (message or self.gone()) if self.ranks.is_first_to_end() else ""
            except RuntimeError:  # the notes were on the machine that is gone
                text = message or "a rank on another machine died or was cut off; run the stage again"
            if text:
                print(f"Error: {text}", file=sys.stderr, flush=True)
        os._exit(1)  # other threads may wait for a rank that is gone

    def gone(self) -> str:
        """Which ranks are gone, and what is left of the run."""
        time.sleep(GRACE_S)
        world, step = self.ranks.world, self.ranks.noted(KEPT_STEP)
        silent = [str(rank) for rank in range(world) if self.ranks.noted(f"rank {rank}") is None]
        what = "the run was stopped"
        if silent:
            one = len(silent) == 1
            what = f"rank{'' if one else 's'} {', '.join(silent)} of {world} died or {'was' if one else 'were'} cut off"
        kept = f"the state after step {step} is kept: run the stage again to resume" if step else "run the stage again"
        return f"{what}; {kept}"

    def when_told_to_end(self) -> None:
        """Have last words on SIGTERM too, which torchrun sends to all when one rank is gone, whatever this one does."""
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell)
        signal.signal(signal.SIGTERM, lambda number, frame: None)

        def wait() -> None:
            while os.read(told, 1) != bytes([signal.SIGTERM]):
                pass
            self.end()

        threading.Thread(target=wait, daemon=True).start()
