"""A stage that DVC started ends with it: a DVC that was killed alone would leave it running, and start it once more.

Linux alone tells of this; elsewhere such a stage goes on, as one does that was started by hand.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path
from select import select

SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")
BETWEEN = 6  # processes at most between DVC and a stage: shells, and what launches ranks
PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def end_with_dvc() -> None:
    """Have this process told to end, by SIGTERM, when the DVC that started it is gone; a training saves its state
    first. Nothing happens to what DVC did not start.
    """
    handle = _dvc()
    if handle is None:
        return

    def wait() -> None:
        select([handle], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def launcher_ends_with_dvc() -> None:
    """The same for the program that this process is about to become, if DVC is its parent."""
    handle = _dvc(between=0)
    if handle is not None:
        os.close(handle)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _dvc(between: int = BETWEEN) -> int | None:
    """A handle that can be read when the DVC above this process is gone; None where none is above it, or nothing but
    shells that run one command and launchers of ranks lies between.
    """
    process = os.getppid()
    for _ in range(between + 1):
        try:
            handle = os.pidfd_open(process) if sys.platform == "linux" else -1
        except OSError:
            return None
        command = _command(process)
        if handle >= 0 and _is_dvc(command):
            return handle
        if handle >= 0:
            os.close(handle)
        if not _passes_on(command):
            return None
        process = _parent(process)
    return None


def _command(process: int) -> list[str]:
    """The words of a process's command line; none of one that is gone."""
    try:
        return os.fsdecode(Path(f"/proc/{process}/cmdline").read_bytes()).rstrip("\0").split("\0")
    except OSError:
        return []


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _is_dvc(command: list[str]) -> bool:
    """`dvc`, `python .../bin/dvc` and `python -m dvc`, with or without options."""
    names = [Path(word).name for word in command[:5]]
    return names[:1] == ["dvc"] or (names[:1] != [] and names[0].startswith("python") and "dvc" in names)


def _passes_on(command: list[str]) -> bool:
    """A shell with a command of its own, or torchrun."""
    names = [Path(word).name for word in command[:5]]
    return (names[:1] != [] and names[0] in SHELLS and "-c" in command) or bool(
        {"torchrun", "torch.distributed.run"} & set(names)
    )
