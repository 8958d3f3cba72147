"""Feature rows read back from the shards of `egopack.preparation.shards`: only what is asked for is read."""

from __future__ import annotations

import csv
import mmap
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from egopack.data.hdf5 import DamagedHDF5, whole_hdf5
from egopack.errors import UserError, refused
from egopack.files import naming

VIDEOS = "videos.csv"
COLUMNS = ("video_uid", "shard", "start", "length")
LENGTHS = ("video_uid", "length")  # of the list that stands outside of the folder


def shard_name(shard: int) -> str:
    """File name of a shard."""
    return f"shard-{shard:05d}.h5"


class FeatureShards:
    """Rows of the videos in a folder of `write_shards`.

    Files are mapped when first touched; only the pages of the rows asked for are fetched, in one go, and processes
    share them. Where the file system maps no files, rows are read when they are asked for. A reader can be forked or
    pickled to the workers of a loader. `uid in shards` tells whether a video is there.

    Raises UserError where the folder is not whole, KeyError for a video that it lacks, IndexError for rows past the
    video's end.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._where = _read_videos(self.folder / VIDEOS)
        self._ends: dict[int, int] = {}
        for shard, start, length in self._where.values():
            self._ends[shard] = max(self._ends.get(shard, 0), start + length)
        self._tables: dict[int, _Table] = {}
        first = self._table(next(iter(self._where.values()))[0]).place
        self.width, self.dtype = first.width, first.dtype

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
        return table.take(start + rows)

    def read(self, uid: str, first: int = 0, count: int | None = None) -> np.ndarray:
        """`count` rows from row `first` on (to the end where None): a new array [count, D]."""
        shard, start, length = self._find(uid)
        count = length - first if count is None else count
        if first < 0 or count < 0 or first + count > length:
            raise IndexError(f"rows {first} ... {first + count - 1} of video {uid!r}, which has {length}")
        return self._table(shard).span(start + first, start + first + count)

    def resident(self) -> FeatureShards:
        """A reader that holds all rows in memory (shared with processes forked from this one)."""
        reader = FeatureShards(self.folder)
        reader._tables = {shard: self._checked(_hold_table(self._path(shard)), shard) for shard in self._ends}
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
            table = self._tables[shard] = self._checked(_open_table(self._path(shard)), shard)
        return table

    def _checked(self, table: _Table, shard: int) -> _Table:
        """The table, if it has all rows that the list of videos says."""
        if self._ends[shard] > table.place.count:
            raise _damaged(self._path(shard), f"{table.place.count} rows, but {VIDEOS} names {self._ends[shard]}")
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
        numbers = all(re.fullmatch("[0-9]{1,15}", cell) for line in found for cell in line[1:])
        if not numbers or any(len(line) != len(columns) for line in found):
            raise ValueError("a line of another form")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, so the shards are not whole; run the stage that writes them") from None
    except OSError as error:
        raise refused(path, error) from None
    except ValueError as error:
        raise UserError(f"{path}: not a list of videos ({error}); write the shards again") from None
    if not found:
        raise UserError(f"{path}: lists no video; write the shards again")
    return found


@dataclass(frozen=True)
class _Place:
    """Where in its file the rows of a shard lie."""

    path: Path
    count: int
    width: int
    dtype: np.dtype[Any]
    offset: int

    @property
    def row_bytes(self) -> int:
        return self.width * self.dtype.itemsize


class _Table:
    """The rows of a shard, in memory."""

    def __init__(self, place: _Place, rows: np.ndarray) -> None:
        self.place, self.rows = place, rows

    def take(self, index: np.ndarray) -> np.ndarray:
        """The rows of `index`, in its order: a new array."""
        return self.rows[index]

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows first ... stop - 1: a new array."""
        return self.rows[first:stop].copy()


class _Mapped(_Table):
    """The rows of a shard that is mapped: nothing is fetched before it is asked for."""

    def __init__(self, place: _Place, mapped: mmap.mmap) -> None:
        mapped.madvise(mmap.MADV_RANDOM)  # else every row brings some megabytes of those after it
        rows = np.frombuffer(mapped, place.dtype, count=place.count * place.width, offset=place.offset)
        super().__init__(place, rows.reshape(place.count, place.width))
        self.mapped = mapped

    def take(self, index: np.ndarray) -> np.ndarray:
        if len(index) and not _lie_apart(index):
            self.fetch(int(index.min()), int(index.max()) + 1)
        return super().take(index)

    def span(self, first: int, stop: int) -> np.ndarray:
        self.fetch(first, stop)
        return super().span(first, stop)

    def fetch(self, first: int, stop: int) -> None:
        """Ask for rows first ... stop - 1 at once."""
        begin = (self.place.offset + first * self.place.row_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
        end = self.place.offset + stop * self.place.row_bytes
        if end > begin:
            self.mapped.madvise(mmap.MADV_WILLNEED, begin, end - begin)


class _Read(_Table):
    """The rows of a shard on a file system that maps no files: read when they are asked for."""

    def __init__(self, place: _Place, file: BufferedReader) -> None:
        super().__init__(place, np.empty((0, place.width), place.dtype))
        self.file = file

    def take(self, index: np.ndarray) -> np.ndarray:
        if len(index) and not _lie_apart(index):
            first = int(index.min())
            return self.span(first, int(index.max()) + 1)[index - first]
        parts = [self.span(row, row + 1) for row in index.tolist()]
        return np.concatenate([self.rows, *parts])

    def span(self, first: int, stop: int) -> np.ndarray:
        out = np.empty((stop - first, self.place.width), self.place.dtype)
        rest, at = out.reshape(-1).view(np.uint8).data, first * self.place.row_bytes
        while len(rest):
            with naming(self.place.path):
                read = os.preadv(self.file.fileno(), [rest], self.place.offset + at)
            if not read:
                raise _damaged(self.place.path, "it has become shorter")
            rest, at = rest[read:], at + read
        return out


def _lie_apart(index: np.ndarray) -> bool:
    """Whether rows lie so far apart that those between them are better left out."""
    return bool(index.max() + 1 - index.min() > 2 * len(index))


def _open_table(path: Path) -> _Table:
    place = _place_of_rows(path)
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        try:
            return _Mapped(place, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError:
            stack.pop_all()  # the file stays open
            return _Read(place, file)


def _hold_table(path: Path) -> _Table:
    place = _place_of_rows(path)
    with path.open("rb") as file:
        return _Table(place, _Read(place, file).span(0, place.count))


def _place_of_rows(path: Path) -> _Place:
    """Where the rows lie; UserError for a file that is missing, cut short or cannot be read."""
    try:
        with whole_hdf5(path) as file:  # refuses a file that is cut short
            rows = file["rows"]
            count, width = rows.shape
            if rows.id.get_offset() + rows.nbytes > file.id.get_filesize():
                raise ValueError("its rows end behind the file")
            return _Place(path, int(count), int(width), rows.dtype, int(rows.id.get_offset()))
    except (FileNotFoundError, DamagedHDF5) as error:
        raise _damaged(path, str(getattr(error, "strerror", None) or error)) from None
    except OSError as error:
        raise refused(path, error) from None


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path}: not a whole shard ({reason}); remove {VIDEOS} and write the shards again")
