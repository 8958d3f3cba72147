"""SHA-256 of whole files, remembered, so that hundreds of gigabytes are read once."""

from __future__ import annotations

import json
import os
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from egopack.errors import refused
from egopack.files import printable, sha256, write_json

NOTE = "files.json"  # usual name of a note
SETTLED_NS = 10**9  # a file that changed less than this before it was read may change again without another time


class Checksums:
    """Checksums of files, noted in the file `note` when the block ends, so that a file that has the same path, size,
    inode and times of change as when it was last read is not read again; with `again` it is.

    Several processes may share a note: what one of them loses is read again.
    """

    def __init__(self, note: Path | None = None, *, again: bool = False) -> None:
        self.note, self._lock, self._fresh = note, Lock(), dict[str, list[Any]]()
        self._known = {} if note is None else _read(note)
        self._trusted = {} if again else self._known

    def of(self, path: Path | str) -> str:
        """The checksum of a file; OSError where it cannot be read."""
        name = os.path.realpath(path)
        mark, now = _mark(path), time.time_ns()
        entry = self._trusted.get(name)
        if not isinstance(entry, list) or entry[:-1] != mark:
            entry = [*mark, sha256(path)]
            if now - max(mark[2:]) < SETTLED_NS or _mark(path) != mark or printable(name) != name:
                return str(entry[-1])
        with self._lock:
            self._fresh[name] = entry
        return str(entry[-1])

    def __enter__(self) -> Checksums:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.note is not None and any(self._known.get(name) != entry for name, entry in self._fresh.items()):
            noted = _read(self.note) | self._fresh
            with suppress(OSError) if error else nullcontext():  # a full disk: what ended the block says more
                write_json(self.note, {name: entry for name, entry in noted.items() if os.path.exists(name)})


def _mark(path: Path | str) -> list[int]:
    """What differs when a file was changed or replaced."""
    status = os.stat(path)
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _read(note: Path) -> dict[str, Any]:
    try:
        noted = json.loads(note.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    except OSError as error:
        raise refused(note, error) from None
    return noted if isinstance(noted, dict) else {}
