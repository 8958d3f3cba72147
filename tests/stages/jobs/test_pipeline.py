"""Which processes count as gone."""

from __future__ import annotations

import os
import time

from stages._jobs.pipeline import is_dead


def test_what_is_left_of_a_process_is_dead() -> None:
    assert not is_dead(os.getpid())
    process = os.fork()
    if process == 0:
        os._exit(0)
    end = time.monotonic() + 20
    while not is_dead(process) and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(process, 0)  # its pid is still there
    assert is_dead(process)
    os.waitpid(process, 0)
    assert is_dead(process)
