"""Whole states of trainings that are under way, in scratch space, so that a run that was stopped resumes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from egopack.checksums import Checksums
from egopack.errors import UserError
from egopack.files import atomic_path

STATE = "state.safetensors"
SHARE_OF_TIME = 0.05  # of a run that may go into saving states
KEEP_DAYS = 14.0
VANISHED = os.strerror(errno.ENOENT)


class Scratch:
    """The state of one run: a folder whose name is a digest of all that determines the run, with one file in it.

    `every` is after how many steps a state is saved; one that takes long to write is saved more rarely. `stop` asks for
    one after the step under way, the last.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every, self.stop = folder, every, False
        self._not_before = 0.0

    def due(self, step: int) -> bool:
        """Whether a state should be saved after this many steps."""
        return self.stop or (step % self.every == 0 and time.monotonic() >= self._not_before)

    def save(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Replace the state, tensors and JSON-ready record together in one file, atomically.

        Raises:
            UserError: it cannot be written.
        """
        began = time.monotonic()
        try:
            with atomic_path(self.folder / STATE) as temporary:
                plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
                save_file(plain, temporary, metadata={"record": json.dumps(record)})
        except (OSError, SafetensorError) as error:
            if VANISHED in str(error):
                return  # the same run, started twice, has ended elsewhere and cleared the folder
            raise UserError(
                f"{self.folder}: the state of the training cannot be saved ({error}); "
                "free some space, or set runtime.save_every to 0 in params.yaml"
            ) from None
        now = time.monotonic()
        self._not_before = now + (now - began) / SHARE_OF_TIME

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was saved last; None if nothing was, or what is there cannot be read."""
        try:
            with safe_open(self.folder / STATE, framework="pt") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["record"])
        except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError):
            return None

    def clear(self) -> None:
        """The run has ended well: its state is of no more use."""
        shutil.rmtree(self.folder, ignore_errors=True)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """States of the generators that this process draws from."""
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def run_digest(determines: Mapping[str, Any]) -> str:
    """Name of a run: SHA-256 of all that determines it, as JSON."""
    return hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()[:32]


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors with their names, types and shapes."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.numpy().tobytes())
    return total.hexdigest()


def digest_files(paths: Iterable[Path], known: Path | None = None) -> str:
    """SHA-256 of files with their names; `known` is the note of checksums, of which large files need one."""
    total = hashlib.sha256()
    with Checksums(known) as checksums:
        for path in sorted(paths):
            total.update(f"{path.name} {checksums.of(path)}\n".encode())
    return total.hexdigest()


def prune(root: Path, keep_days: float = KEEP_DAYS) -> list[Path]:
    """Remove states that no run has touched for so many days, not the notes beside them; what was removed."""
    limit = time.time() - 86400 * keep_days
    old = []
    for entry in sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []:
        try:
            newest = max(path.stat().st_mtime for path in (entry, *entry.rglob("*")))
        except OSError:
            continue  # another run removes it at this moment
        if newest < limit:
            shutil.rmtree(entry, ignore_errors=True)
            old.append(entry)
    return old
