"""The device of a process, and torch set up so that the same input gives the same bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from egopack.errors import UserError
from egopack.params import RuntimeParams
from egopack.runtime.allocator import keep_freed_memory
from egopack.runtime.progress import process_gb
from egopack.runtime.ranks import world_size
from egopack.runtime.reproducible import ANYWHERE

if TYPE_CHECKING:
    import torch


def set_up(runtime: RuntimeParams, seed: int | None = None) -> torch.device:
    """Seed torch (unless nothing is drawn), ask it for the same result every time, and pick the device; each rank of a
    machine has a GPU of its own.

    Raises:
        UserError: the device is not there, or is one for several ranks.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    keep_freed_memory()
    anywhere = runtime.reproducible == ANYWHERE
    if threads := 1 if anywhere else runtime.threads:
        torch.set_num_threads(threads)
    if seed is not None:
        torch.manual_seed(seed)
    device = pick_device("cpu" if anywhere else runtime.device)
    # use_deterministic_algorithms would import the compiler too, which takes as long as all the rest of torch
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # no memory is read before it is written
    return device


def pick_device(name: str) -> torch.device:
    """The device that `runtime.device` names; of several ranks, each takes its own GPU."""
    import torch

    key = "params.yaml: runtime.device"
    name = name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    several = world_size() > 1
    if several and name.startswith("cuda:"):
        raise UserError(f"{key}: {name!r} is one GPU, but the launcher starts several ranks; name cuda")
    if several and name == "cuda":
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"{key}: {name!r} is not there; torch sees {torch.cuda.device_count()} CUDA devices")
    if several and device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def memory_gb(device: torch.device) -> float:
    """The most memory that was held so far, in GB: the GPU's where there is one, else the process's."""
    import torch

    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else process_gb()
