"""One array out of a .npz, mapped where it is stored as it is, and never unpickled."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

MAGIC, HEADER_BYTES = b"\x93NUMPY", 10_000  # of an array's file; numpy takes no longer header
LOCAL_HEADER = 30  # bytes of a zip file before the name of a member


def names_in(path: Path) -> list[str]:
    """The arrays that a file holds."""
    with zipfile.ZipFile(path) as archive:
        return sorted(name.removesuffix(".npy") for name in archive.namelist())


def read_array(path: Path, name: str) -> np.ndarray:
    """The array; it is mapped if the file is not compressed.

    Raises KeyError where there is none of that name, ValueError for one of objects or of another size than it says, and
    whatever numpy and zipfile raise for damage.
    """
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        with archive.open(member) as file:
            shape, fortran, dtype, start = _header(file)
            count = int(np.prod(shape, dtype=object))
            if dtype.hasobject or count * dtype.itemsize != member.file_size - start:
                raise ValueError("an array of objects, or of another size than it says")
            order: str = "F" if fortran else "C"
            if member.compress_type != zipfile.ZIP_STORED:
                flat = np.frombuffer(file.read(member.file_size - start), dtype)
                if len(flat) != count:
                    raise ValueError("an array that is cut short")
                return flat.reshape(shape, order=order)  # type: ignore[call-overload]
    with path.open("rb") as raw:
        raw.seek(member.header_offset + 26)
        lengths = np.frombuffer(raw.read(4), "<u2")
    first = member.header_offset + LOCAL_HEADER + int(lengths.sum()) + start
    try:
        return np.memmap(path, dtype, "r", first, shape, order)  # type: ignore[call-overload]
    except OSError:  # no file is mapped there
        with path.open("rb") as raw:
            raw.seek(first)
            return np.fromfile(raw, dtype, count).reshape(shape, order=order)  # type: ignore[call-overload]


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, type, and where the numbers begin."""
    begin = file.read(12)
    old = begin[6:7] == b"\x01"
    size = int.from_bytes(begin[8:10] if old else begin[8:12], "little")
    if not begin.startswith(MAGIC) or size > HEADER_BYTES:
        raise ValueError("not an array")
    start = (10 if old else 12) + size
    whole = io.BytesIO(begin + file.read(start - len(begin)))
    np.lib.format.read_magic(whole)
    read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
    return *read(whole), start
