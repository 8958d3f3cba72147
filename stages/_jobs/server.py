"""The owner's side of `forks`: start that process, send it signals, hear of stages that ended."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from stages._jobs import client

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Server:
    """What stages are forked from; it is started by the first that needs it. `threads` is each one's share of cores,
    `checkout` the one whose code they run: its own, and those of other folders with the same code.
    """

    threads: int
    log: Path
    checkout: Path = Path()
    peaks: dict[str, int] = field(default_factory=dict)
    pipe: Connection | None = None
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="egopack-"))
        self.own = {name: str(self.threads) for name in THREADS if name not in os.environ}
        python, shim = self.folder / "python", Path(client.__file__)
        python.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", "-S", str(shim)])} "$@"\n')
        python.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """For whatever runs the command of a stage, so that it finds its way here."""
        path = f"{self.folder}:{os.environ.get('PATH', os.defpath)}"
        asked = {client.REAL: sys.executable, client.ADDRESS: str(self.folder / "forks")}
        return self.own | ({"PATH": path} | asked if self.process else {})

    def start(self) -> None:
        """Have it import; until it has, commands run as ever. Forking after that is safe on Linux alone."""
        if self.process is not None or sys.platform != "linux":
            return
        self.pipe, theirs = Pipe()
        command = [sys.executable, "-m", "stages._jobs.forks", str(self.folder / "forks"), str(theirs.fileno())]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.checkout,
                env=os.environ | self.own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        theirs.close()

    def send(self, number: int) -> None:
        """A signal to all stages; no other is started then."""
        if self.pipe is not None:
            with suppress(OSError):
                self.pipe.send_bytes(str(int(number)).encode())

    def hear(self) -> None:
        """Note the peak memory of stages that have ended."""
        with suppress(EOFError, OSError):
            while self.pipe is not None and self.pipe.poll():
                name, peak = json.loads(self.pipe.recv_bytes())
                self.peaks[name] = peak
            return
        self.pipe = None

    def close(self) -> None:
        """End it, with all stages that still run."""
        if self.pipe is not None:
            self.pipe.close()
        if self.process is not None:
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
