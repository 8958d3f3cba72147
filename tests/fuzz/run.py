"""Damages the file of a target again and again, in a process of its own, and tells what its reader should not do."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from egopack.ego4d.features import DamagedFile
from egopack.errors import UserError
from tests.fuzz.damage import damaged
from tests.fuzz.targets import TARGETS, Target

MOST_S, MOST_BYTES = 8.0, 1 << 30  # of a machine that has more to do
LONGEST_MESSAGE = 2000
ROOT = Path(__file__).resolve().parents[2]


class TooLongError(Exception):
    """A reader takes longer than a file of that size may."""


def _too_long(number: int, frame: object) -> None:
    raise TooLongError(f"longer than {MOST_S} s")


def fault(target: Target, folder: Path) -> str:
    """What the reader does that it should not; empty for a result, or an error of one line."""
    signal.setitimer(signal.ITIMER_REAL, MOST_S)
    try:
        target.read(folder)
    except (UserError, DamagedFile) as error:
        message = str(error)
        if not message.isprintable() or len(message) > LONGEST_MESSAGE:
            return f"no line of at most {LONGEST_MESSAGE} letters: {message[:300]!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {error!s:.200}\n{traceback.format_exc()[-1500:]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def attack(name: str, seed: int, count: int) -> list[dict[str, Any]]:
    """Damage the file of a target `count` times, each time by a generator of (seed, number); the faults."""
    target = next(one for one in TARGETS if one.name == name)
    faults = []
    with tempfile.TemporaryDirectory() as top:
        whole = Path(top, "whole")
        whole.mkdir()
        target.make(whole)
        target.read(whole)  # once without a limit: it imports what it needs
        if found := fault(target, whole):
            return [{"target": name, "number": -1, "fault": f"the whole file: {found}"}]
        content = (whole / name).read_bytes()
        for number in range(count):
            print(f"case {name} {number}", file=sys.stderr, flush=True)
            folder = Path(top, "damaged")
            shutil.copytree(whole, folder, symlinks=True)
            (folder / name).write_bytes(damaged(content, np.random.default_rng([seed, number])))
            if found := fault(target, folder):
                faults.append({"target": name, "number": number, "fault": found})
            shutil.rmtree(folder)
    return faults


def _size() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def attack_apart(names: list[str], seed: int, count: int) -> list[dict[str, Any]]:
    """The faults that `attack` finds in another process; that it ends otherwise than it should is one too."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.run", ",".join(names), str(seed), str(count)]
    limit = 120 + len(names) * count * MOST_S / 2
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired as error:
        said = error.stderr.decode() if isinstance(error.stderr, bytes) else ""
        return [_last(said, f"not done after {time.monotonic() - began:.0f} s")]
    if done.returncode:
        return [_last(done.stderr, f"exit status {done.returncode}: {done.stderr[-1500:]}")]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _last(said: str, what: str) -> dict[str, Any]:
    """A fault of the case that was told last."""
    cases = [line.split()[1:] for line in said.splitlines() if line.startswith("case ")]
    target, number = cases[-1] if cases else ("", -1)
    return {"target": target, "number": int(number), "fault": what}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_size() + MOST_BYTES,) * 2)
    signal.signal(signal.SIGALRM, _too_long)
    seed, count = int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps([fault for name in sys.argv[1].split(",") for fault in attack(name, seed, count)]))
