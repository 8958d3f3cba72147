"""HDF5 files written whole or not at all, also where the disk fills, and read wherever they lie."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from egopack.errors import printable
from egopack.files import atomic_path

LIBVER = ("v110", "v110")  # a fixed file format: the bytes do not depend on the HDF5 at hand
ALIGNED = {"alignment_threshold": 256, "alignment_interval": 4096}  # datasets can be mapped from a page on


ERRNO = re.compile(r"\berrno = (\d+)")  # HDF5 tells of the system's errors so, also where it raises a KeyError


class DamagedHDF5(Exception):  # noqa: N818  it names a state of the file
    """A file that HDF5 cannot make sense of; the message says why."""


@contextmanager
def whole_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """A file of `new_hdf5` to read, without a lock, which some file systems do not have: a file that took its name when
    it was whole needs none.

    Raises:
        OSError: the system refuses to read it.
        DamagedHDF5: it is not whole, or lacks what the block asks for.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except Exception as error:  # HDF5 and numpy each raise their own kinds for damage
        found = ERRNO.search(str(error))
        number = getattr(error, "errno", None) or (int(found[1]) if found else 0)
        if number:
            raise OSError(number, os.strerror(number), str(path)) from None
        raise DamagedHDF5(printable(str(error) or type(error).__name__)[:200]) from None


@contextmanager
def new_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """A new HDF5 file to write to; it takes the name `path` when the block ends without an error.

    Raises OSError that names `path` where the disk is full or fails.
    """
    with _new(path) as (file, _):
        yield file


@dataclass(frozen=True)
class RowsOnDisk:
    """A table [n, D] of a file, which threads write to side by side: HDF5 itself lets in one at a time."""

    handle: int
    offset: int
    row_bytes: int

    def write(self, first: int, rows: np.ndarray) -> None:
        """Put rows [m, D] of the table's type at row `first`; OSError where the disk is full or fails."""
        rest = np.ascontiguousarray(rows).data.cast("B")
        at = self.offset + first * self.row_bytes
        while len(rest):
            written = os.pwrite(self.handle, rest, at)
            at, rest = at + written, rest[written:]


@contextmanager
def new_table(
    path: Path | str, name: str, shape: tuple[int, int], dtype: str
) -> Iterator[tuple[h5py.File, RowsOnDisk]]:
    """`new_hdf5` with a contiguous dataset `name`, and its rows; nothing may write to them when the block ends."""
    with _new(path) as (file, handle):
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # so that its place in the file is known now
        table = file.create_dataset(name, shape, dtype, track_times=False, fill_time="never", dcpl=plan)
        yield file, RowsOnDisk(handle, table.id.get_offset(), shape[1] * table.dtype.itemsize)


@contextmanager
def _new(path: Path | str) -> Iterator[tuple[h5py.File, int]]:
    """A new file and its handle."""
    with atomic_path(path) as temporary, _Patient(temporary, "w+b") as below:
        with h5py.File(below, "w", libver=LIBVER, track_order=False, **ALIGNED) as file:
            yield file, below.fileno()
        if below.failure:
            raise OSError(below.failure.errno, below.failure.strerror, str(path))


class _Patient(io.FileIO):
    """A file that keeps its first failure to write to itself: HDF5, told of a full disk, crashes when it closes."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and not self.failure:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return self.tell() if self.failure else super().truncate(size)
        except OSError as error:
            self.failure = error
            return self.tell()

    def readinto(self, buffer: Any) -> int:
        read = super().readinto(buffer) or 0
        if self.failure:  # what could not be written reads as zeros
            memoryview(buffer).cast("B")[read:] = bytes(len(buffer) - read)
            return len(buffer)
        return read
