"""Stages as processes that can be killed, forked from a server that has imported everything, so that none waits for it.

A stage gets what a shell would give it: a current folder, arguments, an exit status; its output comes back as text.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from egopack.runtime.reproducible import VARIABLES
from tests.support.full_disk import full_disk

ROOT = Path(__file__).resolve().parents[2]
WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "tempfile.mkstemp", "tempfile.mkdtemp"}
CAP_DAC_OVERRIDE, CAPABILITIES_3 = 1, 0x20080522  # of linux/capability.h


@dataclass(frozen=True)
class Ended:
    """How a stage ended: its exit status (negative: what signal killed it), all that it said, how long it took."""

    status: int
    output: str
    seconds: float


class Forks:
    """Runs stages in a folder, of one thread unless params.yaml says otherwise; which loops compute is up to them."""

    def __init__(self) -> None:
        self.context = get_context("forkserver")
        files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")]
        files = [path for path in files if path.stem != "__init__"]
        modules = [path.relative_to(ROOT).with_suffix("").as_posix().removeprefix("src/") for path in files]
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (threads | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}).items():
                patch.setenv(name, value)
            for name in ("EGO4D_ROOT", "DVC_ROOT", "PYTHONUNBUFFERED", *(VARIABLES.keys() - threads.keys())):
                patch.delenv(name, raising=False)
            forkserver.set_forkserver_preload(
                [
                    "pytest",
                    "pyarrow.parquet",
                    "torch._dynamo",
                    __name__,
                    *(name.replace("/", ".") for name in sorted(modules)),
                ]
            )
            forkserver.ensure_running()

    def run(
        self,
        folder: Path,
        stage: str,
        *arguments: str,
        after: float | None = None,
        send: signal.Signals = signal.SIGKILL,
        **injuries: Any,
    ) -> Ended:
        """Run a stage; `after` so many seconds it is sent a signal. For `injuries` see `run_stage`."""
        heard, said = self.context.Pipe(duplex=False)
        process = self.context.Process(target=run_stage, args=(folder, stage, arguments, said), kwargs=injuries)
        began = time.monotonic()
        process.start()
        said.close()
        process.join(after)
        if process.exitcode is None and process.pid is not None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process.pid, send)
        process.join()
        seconds = time.monotonic() - began
        output = b"".join(iter(lambda: os.read(heard.fileno(), 1 << 16), b"")).decode()
        assert process.exitcode is not None
        return Ended(process.exitcode, output, seconds)


def run_stage(
    folder: Path,
    stage: str,
    arguments: tuple[str, ...],
    said: Connection,
    *,
    room: int | None = None,
    read_only: bool = False,
    stop_at: int | None = None,
    by: signal.Signals = signal.SIGKILL,
    plain: bool = False,
) -> None:
    """Be the stage. `room`: no file can grow beyond so many bytes; `read_only`: permissions bind, also for root;
    `stop_at`: a signal, `by`, comes just before the change of that number to the file system; `plain`: compute as a
    processor without vector extensions does.
    """
    if plain:
        os.environ |= {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
    os.chdir(folder)
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    main = importlib.import_module(f"stages.{stage}").main
    if read_only:
        obey_permissions()
    if stop_at is not None:
        sys.addaudithook(stopper(stop_at, by))
    with nullcontext() if room is None else full_disk(room):
        main(list(arguments))


def stopper(stop_at: int, by: signal.Signals) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that sends this process a signal before its change number `stop_at` to the file system."""
    left = stop_at

    def hook(event: str, details: tuple[Any, ...]) -> None:
        nonlocal left
        if event in WRITES or (event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR)):
            left -= 1
            if left == -1:
                os.kill(os.getpid(), by)

    return hook


def obey_permissions() -> None:
    """Give up root's right to write where it has no permission; nothing changes for others."""
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, sets) == 0
    for index in range(3):  # effective, permitted, inheritable
        sets[index] &= ~(1 << CAP_DAC_OVERRIDE)
    assert libc.capset(header, sets) == 0


@contextmanager
def write_protected(*folders: Path) -> Iterator[None]:
    """Take away the permission to write in folders and all that are below."""
    every = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.is_dir()]
    for path in every:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in every:
            path.chmod(0o755)
