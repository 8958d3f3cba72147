"""Feature files of whole videos, read without trusting them, and several feature sets brought onto one grid."""

from __future__ import annotations

import errno
import io
import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from egopack.ego4d.npz import HEADER_BYTES, MAGIC, names_in, read_array
from egopack.ego4d.tensor_files import check_plain
from egopack.errors import refused
from egopack.params import FeatureSet
from egopack.params.data import ARRAY

BLOCK_BYTES = 1 << 20  # what stays in a core's cache from where it is read to where it is written
SHOWN = 5  # names of arrays in a message
LARGEST = 65504.0  # of float16: a larger number is damage, and the two types of storage hold the same videos
NON_FINITE_LIMIT = 0.5  # a video with a larger share of rows holding NaN or Inf is not usable
SYSTEM = re.compile(r"^unable to \w+ .*\(\d+\)", re.DOTALL)  # begins what torch says where the system maps no file
TOO_MANY_ZEROED = "video with NaN, Inf or overflow in more than half of its feature rows"


class DamagedFile(Exception):  # noqa: N818  it names a state of the data that callers count, not a failure of the run
    """A feature file that cannot be used; the message is the reason, under which callers count the video as skipped."""


def read_features(path: Path | str, array: str = ARRAY) -> np.ndarray:
    """Feature matrix [T, D] of one video, float16 or float32 (other floats become float32); mapped rather than read,
    where the file system maps files.

    `.npy`, the `array` of a `.npz`, or a tensor that `torch.load` takes without running what a pickle asks for.

    Raises:
        DamagedFile: it is cut short, is not one matrix of floats, or has no rows.
        UserError: the system refuses to read it, which is no damage.
    """
    path = Path(path)
    try:
        if path.suffix == ".npz":
            rows = _read_npz(path, array)
        else:
            rows = _read_npy(path) if path.suffix == ".npy" else _read_pt(path)
    except OSError as error:
        raise refused(path, error) from None
    if rows.ndim != 2:
        raise DamagedFile(f"feature file of {rows.ndim} dimensions, not rows and columns")
    if rows.dtype.kind != "f":
        raise DamagedFile(f"feature file of {rows.dtype.name}, not of floats")
    if 0 in rows.shape:
        raise DamagedFile("feature file without rows" if rows.shape[0] == 0 else "feature file without columns")
    if rows.dtype not in (np.float16, np.float32):
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32)
    return rows


def _read_npy(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            start = file.read(12)
        size = int.from_bytes(start[8:10] if start[6:7] == b"\x01" else start[8:12], "little")
        if not start.startswith(MAGIC) or size > HEADER_BYTES:
            raise ValueError
        try:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except OSError:  # no file is mapped there, or this one cannot be read at all
            return np.asarray(np.load(io.BytesIO(path.read_bytes()), allow_pickle=False))
    except Exception as error:  # of a header that is no Python, numpy raises whatever its parser does
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedFile("feature file that is cut short or not an array") from None


def _read_npz(path: Path, array: str) -> np.ndarray:
    try:
        names = names_in(path)
        if array in names:
            return read_array(path, array)
    except Exception as error:  # zipfile, zlib and numpy each raise their own kinds for damage
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedFile("feature file that is cut short or not an array") from None
    there = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    raise DamagedFile(f"feature file without an array {array!r} (it has {there or 'none'}; data.features names one)")


def _read_pt(path: Path) -> np.ndarray:
    import torch

    try:
        loaded = _torch_load(path)
    except Exception as error:  # zipfile, pickle and torch each raise their own kinds for damage
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedFile("feature file that is cut short or not a plain tensor") from None
    if not isinstance(loaded, torch.Tensor) or loaded.layout != torch.strided or loaded.device.type != "cpu":
        raise DamagedFile("feature file that holds something other than a plain tensor")
    if loaded.numel() * loaded.element_size() > path.stat().st_size:
        raise DamagedFile("feature file that claims more rows than it holds")
    if loaded.dtype == torch.bfloat16:
        loaded = loaded.float()
    if not loaded.is_floating_point():
        raise DamagedFile(f"feature file of {str(loaded.dtype).removeprefix('torch.')}, not of floats")
    try:
        return loaded.detach().numpy()
    except (RuntimeError, TypeError):
        raise DamagedFile(f"feature file of {str(loaded.dtype).removeprefix('torch.')}, not of floats") from None


def _torch_load(path: Path) -> object:
    import torch

    zipped = check_plain(path)  # files that are not cannot be mapped
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not SYSTEM.search(str(error)):
            raise
        # no file is mapped there, or this one cannot be read at all
        return torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)


def aligned_rows(sets: Sequence[FeatureSet], lengths: Sequence[int]) -> list[np.ndarray]:
    """Rows to take of each feature set so that they describe the same moments: one int64 [n] for each set.

    The grid is the first set's: its row i is centerd at (stride * i + window / 2) / fps seconds. Of another set comes
    the row centerd nearest; of two as near, the one that starts nearest (so that sets of one stride go row by row).
    n counts the rows for which every set has that row. `lengths` are the rows that each set has of the video.

    Where a video's frames are no multiple of the stride, the official extraction moves the last window back so that it
    ends with the video. That odd last row counts as the row of its number: less than a stride from where it is.
    """
    columns = [_nearest(sets[0], other, lengths[0]) for other in sets]
    count = min(int(np.searchsorted(rows, length)) for rows, length in zip(columns, lengths, strict=True))
    return [np.maximum(rows[:count], 0) for rows in columns]


def _nearest(grid: FeatureSet, other: FeatureSet, count: int) -> np.ndarray:
    """Row of `other` nearest to each of the first `count` rows of `grid`, in exact arithmetic; int64, ascending."""
    rate = Fraction(other.fps) / Fraction(grid.fps)  # frames of `other` for one of `grid`
    step = grid.stride * rate / other.stride
    first = (grid.window * rate - other.window) / 2 / other.stride
    unit = math.lcm(step.denominator, first.denominator)
    doubled = 2 * (int(first * unit) + int(step * unit) * np.arange(count, dtype=np.int64))
    if grid.window * rate < other.window:
        return (doubled + unit) // (2 * unit)  # halves go up
    return -((unit - doubled) // (2 * unit))  # halves go down


class VideoFeatures:
    """The feature files of one video, the sets side by side on the grid of the first: [n, sum of sizes], read in parts.

    Raises DamagedFile where a file is damaged, has another width than its set, or no moment is in all of them.
    """

    def __init__(self, files: Sequence[Path], sets: Sequence[FeatureSet]) -> None:
        self._matrices = [read_features(file, one.array) for file, one in zip(files, sets, strict=True)]
        self.width = sum(matrix.shape[1] for matrix in self._matrices)
        for matrix, expected in zip(self._matrices, sets, strict=True):
            if matrix.shape[1] != expected.size:
                raise DamagedFile(f"feature file of width {matrix.shape[1]}, not {expected.size}")
        self._rows = aligned_rows(sets, [len(matrix) for matrix in self._matrices])
        if not len(self):
            raise DamagedFile("feature files that share no moment")

    def __len__(self) -> int:
        return len(self._rows[0])

    def blocks(self, first: int, stop: int, storage: str) -> Iterator[tuple[int, np.ndarray, int]]:
        """Rows first ... stop - 1 in blocks of about BLOCK_BYTES: where each starts, and what `read` gives of it."""
        step = max(BLOCK_BYTES // (self.width * np.dtype(storage).itemsize), 1)
        for start in range(first, stop, step):
            yield start, *self.read(start, min(start + step, stop), storage)

    def read(self, first: int, stop: int, storage: str) -> tuple[np.ndarray, int]:
        """Rows first ... stop - 1 of dtype `storage`, and how many of them were set to zero: those with NaN, Inf or a
        number beyond LARGEST.
        """
        if len(self._matrices) == 1 and self._matrices[0].dtype == np.dtype(storage):
            return _zero_non_finite(self._matrices[0][first:stop])  # as it lies in its file: no copy
        out = np.empty((stop - first, self.width), storage)
        left = 0
        for matrix, rows in zip(self._matrices, self._rows, strict=True):
            _copy(out[:, left : left + matrix.shape[1]], matrix, rows[first:stop])
            left += matrix.shape[1]
        return _zero_non_finite(out)


def too_many_zeroed(rows: int, zeroed: int) -> str:
    """Why a video cannot be used of whose `rows` so many had to be set to zero; empty where it can."""
    return TOO_MANY_ZEROED if zeroed > NON_FINITE_LIMIT * rows else ""


def _copy(out: np.ndarray, matrix: np.ndarray, rows: np.ndarray) -> None:
    """out[...] = matrix[rows], without the copy that this makes where rows follow each other."""
    straight = rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all())
    with np.errstate(over="ignore"):
        out[...] = matrix[rows[0] : rows[-1] + 1] if straight else matrix[rows]


def _zero_non_finite(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """The rows, copied if any has to become zeros, and how many did."""
    bad = _non_finite(rows)
    count = int(bad.sum())
    return (np.where(bad[:, None], rows.dtype.type(0), rows) if count else rows), count


def _non_finite(rows: np.ndarray) -> np.ndarray:
    """Which rows hold NaN, Inf or a number beyond LARGEST: bool [n]."""
    if rows.dtype == np.float16:  # five times as fast as isfinite
        return ((rows.view(np.uint16) & np.uint16(0x7C00)) == 0x7C00).any(axis=1)
    with np.errstate(all="ignore"):
        bad = ~(np.vecdot(rows, rows) <= LARGEST**2)  # at the speed of memory; NaN is no number that is less
        bad[bad] = ~(np.abs(rows[bad]) <= LARGEST).all(axis=1)  # the squares of many smaller ones add up too
    return bad
