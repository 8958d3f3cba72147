"""Feature rows read back from the shards of `egopack.preparation.shards`: only what is asked for is read."""

from __future__ import annotations

import csv
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from egopack.errors import UserError

VIDEOS = "videos.csv"
COLUMNS = ("video_uid", "shard", "start", "length")
LENGTHS = ("video_uid", "length")  # of the list that stands outside of the folder


def shard_name(shard: int) -> str:
    """File name of a shard."""
    return f"shard-{shard:05d}.h5"


class FeatureShards:
    """Rows of the videos in a folder of `write_shards`.

    Files are mapped when first touched; only the pages of the rows asked for are fetched, in one go, and processes
    share them. A reader can be forked or pickled to the workers of a loader. `uid in shards` tells whether a video is
    there.

    Raises UserError where the folder is not whole, KeyError for a video that it lacks, IndexError for rows past the
    video's end.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._where = _read_videos(self.folder / VIDEOS)
        self._tables: dict[int, _Table] = {}
        first = self._table(next(iter(self._where.values()))[0]).rows
        self.width, self.dtype = int(first.shape[1]), first.dtype

    def __contains__(self, uid: object) -> bool:
        return uid in self._where

    def __len__(self) -> int:
        return len(self._where)

    @property
    def uids(self) -> tuple[str, ...]:
        """The videos, sorted."""
        return tuple(self._where)

    def length(self, uid: str) -> int:
        """Rows of a video."""
        return self._find(uid)[2]

    def lengths(self) -> dict[str, int]:
        """Rows of every video."""
        return {uid: length for uid, (_, _, length) in self._where.items()}

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray:
        """The given rows (int64 [n], any order) of a video: a new array [n, D] of the type that is stored."""
        shard, start, length = self._find(uid)
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= length):
            raise IndexError(f"rows {rows.min()} ... {rows.max()} of video {uid!r}, which has {length}")
        table = self._table(shard)
        if len(rows):
            table.fetch(start + int(rows.min()), start + int(rows.max()) + 1, len(rows))
        return table.rows[start + rows]

    def read(self, uid: str, first: int = 0, count: int | None = None) -> np.ndarray:
        """`count` rows from row `first` on (to the end where None): a new array [count, D]."""
        shard, start, length = self._find(uid)
        count = length - first if count is None else count
        if first < 0 or count < 0 or first + count > length:
            raise IndexError(f"rows {first} ... {first + count - 1} of video {uid!r}, which has {length}")
        table = self._table(shard)
        table.fetch(start + first, start + first + count, count)
        return table.rows[start + first : start + first + count].copy()

    def resident(self) -> FeatureShards:
        """A reader that holds all rows in memory (shared with processes forked from this one)."""
        reader = FeatureShards(self.folder)
        reader._tables = {
            shard: _read_table(self._path(shard)) for shard in {where[0] for where in self._where.values()}
        }
        return reader

    def _find(self, uid: str) -> tuple[int, int, int]:
        try:
            return self._where[uid]
        except KeyError:
            raise KeyError(f"no video {uid!r} in {self.folder}") from None

    def _path(self, shard: int) -> Path:
        return self.folder / shard_name(shard)

    def _table(self, shard: int) -> _Table:
        table = self._tables.get(shard)
        if table is None:
            table = self._tables[shard] = _map_table(self._path(shard))
        return table

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tables": {}}  # mapped again where it is unpickled

    def __repr__(self) -> str:
        return f"FeatureShards({str(self.folder)!r}, videos={len(self)}, width={self.width}, dtype={self.dtype})"


def video_lengths(path: Path | str) -> dict[str, int]:
    """Rows of every video, from the list that `write_lengths` wrote beside the shards."""
    return {uid: int(length) for uid, length in _read_list(Path(path), LENGTHS)}


def _read_videos(path: Path) -> dict[str, tuple[int, int, int]]:
    return {uid: (int(shard), int(start), int(length)) for uid, shard, start, length in _read_list(path, COLUMNS)}


def _read_list(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """The lines of a list of videos; UserError where it is missing, damaged or empty."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            if tuple(next(lines, ())) != columns:
                raise ValueError("other columns")
            found = list(lines)
        if any(len(line) != len(columns) or not all(cell.isdecimal() for cell in line[1:]) for line in found):
            raise ValueError("a line of another form")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, so the shards are not whole; run the stage that writes them") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a list of videos ({error}); write the shards again") from None
    if not found:
        raise UserError(f"{path}: lists no video; write the shards again")
    return found


@dataclass(frozen=True)
class _Table:
    """The rows of a shard; where they are mapped, nothing is fetched before it is asked for."""

    rows: np.ndarray
    mapped: mmap.mmap | None = None
    offset: int = 0  # of the rows in the map

    def fetch(self, first: int, stop: int, count: int) -> None:
        """Ask for rows first ... stop - 1 at once, unless the `count` that are needed of them lie far apart."""
        if self.mapped is None or stop - first > 2 * count:
            return
        row = self.rows.strides[0]
        begin = (self.offset + first * row) // mmap.PAGESIZE * mmap.PAGESIZE
        end = self.offset + stop * row
        if end > begin:
            self.mapped.madvise(mmap.MADV_WILLNEED, begin, end - begin)


def _map_table(path: Path) -> _Table:
    shape, dtype, offset = _place_of_rows(path)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapped.madvise(mmap.MADV_RANDOM)  # else every row brings some megabytes of those after it
    rows = np.frombuffer(mapped, dtype, count=shape[0] * shape[1], offset=offset).reshape(shape)
    return _Table(rows, mapped, offset)


def _read_table(path: Path) -> _Table:
    shape, dtype, offset = _place_of_rows(path)
    return _Table(np.fromfile(path, dtype, count=shape[0] * shape[1], offset=offset).reshape(shape))


def _place_of_rows(path: Path) -> tuple[tuple[int, int], np.dtype[Any], int]:
    """Shape, type and offset in the file of a shard's rows."""
    try:
        with h5py.File(path, "r") as file:  # refuses a file that is cut short
            rows = file["rows"]
            return rows.shape, rows.dtype, int(rows.id.get_offset())
    except (OSError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a whole shard ({reason}); remove {VIDEOS} and write the shards again") from None
