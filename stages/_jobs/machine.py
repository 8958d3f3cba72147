"""What this machine has for stages side by side, and what a stage takes of it."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stages._jobs.plan import Job
from stages._ranks import SharedStage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egopack.params import Params

CGROUP = Path("/sys/fs/cgroup")
UNKNOWN_BYTES = 1 << 30  # of a stage that has not run here yet
COMPUTES = "runtime.reproducible"  # what a stage reads that computes with the network
PER_NODE = re.compile(r"--nproc[-_]per[-_]node[= ](\S+)")


def cores(cgroup: Path = CGROUP) -> int:
    """Processors that this process may use, also by the quota of its container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count


def free_bytes(cgroup: Path = CGROUP) -> int:
    """Memory that is free here, also by the limit of the container."""
    import psutil

    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):
        limit = int((cgroup / "memory.max").read_text())
        free = min(free, limit - int((cgroup / "memory.current").read_text()))
    return free


def gpus(params: Params) -> tuple[str, ...]:
    """Names of the GPUs to share out, as CUDA_VISIBLE_DEVICES takes them; none where params name another device."""
    from egopack.runtime.reproducible import ANYWHERE

    if params.runtime.reproducible == ANYWHERE or params.runtime.device not in ("auto", "cuda"):
        return ()
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return tuple(filter(None, named.split(",")))
    if not shutil.which("nvidia-smi"):
        return ()
    asked = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return tuple(done.stdout.split()) if done.returncode == 0 else ()


def ranks(launcher: str, here: int) -> int:
    """How many ranks a launcher starts on this machine; as many as `here` where it leaves that to the machine."""
    named = PER_NODE.search(launcher)
    if named is None:
        return 1
    return int(named[1]) if named[1].isdecimal() else max(here, 1)


def job(module: str, params: Params, gpu_count: int, last: Mapping[str, float] | None, seconds: float) -> Job:
    """What the stage of this module takes, as it did the last time; `seconds` where there was none."""
    stage = importlib.import_module(module)
    computes = COMPUTES in stage.READS.params if hasattr(stage, "READS") else False
    count = ranks(params.launcher, gpu_count or cores()) if isinstance(stage.main, SharedStage) else 1
    return Job(
        slots=count,
        gpus=count if computes else 0,
        memory=count * (int(last["peak_bytes"]) if last else UNKNOWN_BYTES),  # the peak is that of one rank
        seconds=last["seconds"] if last else seconds,
    )
