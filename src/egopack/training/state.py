"""Whole states of trainings that are under way, in scratch space, so that a run that was stopped resumes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from egopack.checksums import Checksums
from egopack.errors import UserError, refused
from egopack.files import PARTIAL, atomic_path

STATE = "state.safetensors"
SHARE_OF_TIME = 0.05  # of a run that may go into saving states
KEEP_DAYS = 14.0
NAME = re.compile(r"[0-9a-f]{32}")  # of a state's folder, by `run_digest`
VANISHED = os.strerror(errno.ENOENT)


class Scratch:
    """The state of one run: a folder whose name is a digest of all that determines the run, with one file in it.

    `every` is after how many steps a state is saved; one that takes long to write is saved more rarely. `stop` asks for
    one after the step under way, the last. `run` is what determines the run, `setting` what it runs on; `settings` are
    those that it has run on so far, the last being its own.
    """

    def __init__(
        self, folder: Path, every: int, run: Mapping[str, Any] | None = None, setting: Mapping[str, Any] | None = None
    ) -> None:
        self.folder, self.every, self.stop = folder, every, False
        self.run, self.settings = run or {}, [setting or {}]
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
        record = {**record, "run": self.run, "settings": self.settings}
        try:
            with atomic_path(self.folder / STATE) as temporary:
                plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
                text = json.dumps(record)
                save_file(plain, temporary, metadata={"record": text, "sha256": digest_tensors(plain, text)})
        except (OSError, SafetensorError) as error:
            if VANISHED in str(error):
                return  # the same run, started twice, has ended elsewhere and cleared the folder
            raise UserError(
                f"{self.folder}: the state of the training cannot be saved ({error}); "
                "mend that, or set runtime.save_every to 0 in params.yaml"
            ) from None
        now = time.monotonic()
        self._not_before = now + (now - began) / SHARE_OF_TIME

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was saved last; None if nothing was, or what is there is damaged.

        Raises:
            UserError: the system refuses to read it.
        """
        try:
            content = (self.folder / STATE).read_bytes()
            tensors, metadata = load(content), _metadata(content)
            record = json.loads(metadata["record"])
            if digest_tensors(tensors, metadata["record"]) != metadata["sha256"]:
                return None
            if record["settings"][-1] != self.settings[-1]:
                self.settings = [*record["settings"], self.settings[-1]]
            return tensors, record
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused(self.folder / STATE, error) from None
        except (SafetensorError, KeyError, TypeError, ValueError):
            return None

    def clear(self) -> None:
        """The run has ended well: its state is of no more use."""
        _remove(self.folder)


def _metadata(content: bytes) -> dict[str, str]:
    """The metadata of a file of safetensors: its header is JSON, behind eight bytes that tell how long it is."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found: dict[str, str] = header["__metadata__"]
    return found


def read_records(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The records of all states under `root`, the newest first, each with its folder; what is damaged is left out."""
    found = []
    for folder in filter(_is_state, root.glob("*")):
        with suppress(FileNotFoundError):  # another run removes it at this moment
            found.append(((folder / STATE).stat().st_mtime_ns, folder))
    for _, folder in sorted(found, reverse=True):
        with suppress(FileNotFoundError, KeyError, TypeError, ValueError), (folder / STATE).open("rb") as file:
            size = file.read(8)
            yield folder, json.loads(_metadata(size + file.read(int.from_bytes(size, "little")))["record"])


def _remove(folder: Path) -> bool:
    """Remove a folder of `Scratch`, file by file: one that holds anything else stays. Whether it is gone."""
    try:
        for path in [folder / STATE, *folder.glob(f"{PARTIAL}*.{STATE}")]:
            path.unlink(missing_ok=True)
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True


def random_state(device: torch.device) -> dict[str, Tensor]:
    """States of the generators that this process draws from."""
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def set_random_state(states: Mapping[str, Tensor], device: torch.device, step: int) -> None:
    """Go back to `random_state`. A generator that the run did not have, as of a further rank, begins by its seed and
    the step, so that it does not draw again what was drawn before.
    """
    seed = (torch.initial_seed() + (step << 20)) % 2**63
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    else:
        torch.default_generator.manual_seed(seed)
    if device.type != "cuda":
        return
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    else:
        torch.cuda.manual_seed(seed)


def run_digest(determines: Mapping[str, Any]) -> str:
    """Name of a run: SHA-256 of all that determines it, as JSON."""
    return hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()[:32]


def digest_tensors(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256 of tensors with their names, types and shapes, and of a text."""
    total = hashlib.sha256(text.encode())
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
    """Remove states that no run has touched for so many days, and nothing else that lies there; what was removed."""
    limit = time.time() - 86400 * keep_days
    old = []
    for folder in sorted(root.glob("*")):
        if not _is_state(folder):
            continue
        try:
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except FileNotFoundError:
            continue  # another run removes it at this moment
        if newest < limit and _remove(folder):
            old.append(folder)
    return old


def _is_state(folder: Path) -> bool:
    """Whether `Scratch` made a folder: its name is a digest, and only states are in it."""
    if not NAME.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    return all(path.name == STATE or path.match(f"{PARTIAL}*.{STATE}") for path in folder.iterdir())
