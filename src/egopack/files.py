"""Atomic writes: a reader sees the whole file, or folder, or none."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from egopack import errors
from egopack.errors import UserError, refused

PARTIAL = ".partial-"  # begins the name of what is being written, which git and DVC are told to ignore


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it takes the name `path` when the block ends without an
    error. What killed writers of `path` left is removed.
    """
    path = Path(path)
    with naming(path):
        handle, name = tempfile.mkstemp(**_sibling(path))
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """The same for a folder; `path` must be an empty one or none."""
    path = Path(path)
    with naming(path):
        temporary = Path(tempfile.mkdtemp(**_sibling(path)))
        try:
            yield temporary
            temporary.chmod(0o755)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Let an error of the disk name `path`: what fails after a file was opened does not say where, and a temporary name
    says little.
    """
    try:
        yield
    except OSError as error:
        if not error.filename or PARTIAL in str(error.filename):
            error.filename = str(path)
        raise


def _sibling(path: Path) -> dict[str, Any]:
    """How to name a temporary sibling that tells which process writes it; those of processes that ended are removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{PARTIAL}*.{glob.escape(path.name)}"):
        if not _runs(int(left.name.removeprefix(PARTIAL).split("-")[0])):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return {"dir": path.parent, "prefix": f"{PARTIAL}{os.getpid()}-", "suffix": f".{path.name}"}


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def read_json(path: Path | str) -> Any:
    """What `write_json` wrote; UserError where the file is missing, cut short or cannot be read."""
    try:
        return json.loads(Path(path).read_bytes())
    except (FileNotFoundError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: not a whole JSON file ({reason}); run the stage that writes it again") from None
    except OSError as error:
        raise refused(path, error) from None


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as JSON whose bytes depend on nothing but the value: sorted keys, one newline at the end."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(json_bytes(value))


def write_json_files(folder: Path, contents: Mapping[str, Any]) -> None:
    """Have `folder` hold these JSON files, by name without suffix, and no other; what is the same is not written."""
    names = {folder / f"{name}.json": value for name, value in contents.items()}
    for path, value in names.items():
        if not path.is_file() or path.read_bytes() != json_bytes(value):
            write_json(path, value)
    for path in set(folder.rglob("*.json")) - set(names):
        path.unlink()


def json_bytes(value: Any) -> bytes:
    """What `write_json` writes."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


def printable(name: str) -> str:
    """A file's name as one line of text: what is not UTF-8 or cannot be seen is spelled out."""
    return errors.printable(os.fsencode(name).decode("utf-8", "backslashreplace"))


def sha256(path: Path | str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with naming(path), Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(folder: Path, characters: int = 12) -> str:
    """What the files of a folder hold, in so many hexadecimal characters."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.json")):
        total.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return total.hexdigest()[:characters]
