"""Feature shards: the rows of many videos end to end in a few HDF5 files.

shard-00000.h5   rows [R, D] contiguous   index (uid, start, length)   attributes: plan, content, spoilt, zeroed
videos.csv       video_uid,shard,start,length   written last: where it lies, the shards are whole

Which code wrote a shard is noted beside them: in the files, an edit that leaves every row as it is would change them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egopack.checksums import Checksums
from egopack.data.hdf5 import DamagedHDF5, RowsOnDisk, new_table, whole_hdf5
from egopack.data.shard_reader import COLUMNS, LENGTHS, VIDEOS, FeatureShards, shard_name
from egopack.ego4d.features import DamagedFile, VideoFeatures, too_many_zeroed
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.files import PARTIAL, atomic_path, read_json, write_json
from egopack.params import FeatureSet
from egopack.preparation.survey import Video, ahead, check_widths, count_files, count_skips, survey

__all__ = ["FeatureShards", "Written", "write_shards"]

MOST_WORKERS = 32
PART_BYTES = 8 << 20  # of a video, copied by one thread
ZEROED = "video with rows of NaN, Inf or overflow, set to zero"


def write_shards(
    root: Path | str,
    features: Mapping[str, FeatureSet],
    uids: Iterable[str],
    out: Path | str,
    *,
    skips: Skips,
    storage: Literal["float16", "float32"] = "float32",
    shard_bytes: int = 512 << 20,
    written: Written | None = None,
    checksums: Checksums | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write the features of `uids` to the folder `out`, in shards of about `shard_bytes`.

    The sets of `features` are laid side by side on the grid of the first. The bytes depend on nothing but the files
    and these settings. Finished shards of the same files and settings stay, if `written` is given only those that its
    code wrote: an interrupted run redoes at most one. Which files are the same, `checksums` tell.
    `workers` (default: the cores) copy parts of videos side by side, so that memory depends on neither the corpus nor
    the length of its videos. `progress(done, total)`: videos.
    Skipped and counted: a video without a file, with a damaged one, or with NaN in most of its rows.
    Returns {"videos", "rows", "shards", "width", "files": what `count_files` counts}. Raises UserError where the files
    are not as wide as `features` says, no video is left, or the disk is too small.
    """
    out, wanted, tell = Path(out), sorted(set(uids)), progress or (lambda done, total: None)
    out.mkdir(parents=True, exist_ok=True)
    workers = workers or min(os.cpu_count() or 1, MOST_WORKERS)
    with ThreadPoolExecutor(workers) as pool:
        surveyed = survey(pool, Path(root), features, wanted, checksums or Checksums())
        check_widths(features, surveyed)
        count_skips(surveyed, skips)
        videos = [video for video in surveyed if not video.problem]
        writer = _Writer(pool, 2 * workers, features, storage)
        shards = list(_split(videos, writer.row_bytes, shard_bytes))
        plans = [_plan_digest(shard, features, storage) for shard in shards]
        stale = [k for k, plan in enumerate(plans) if not _is_done(out / shard_name(k), plan, written)]
        _clear(out, len(shards))
        _check_space(out, {shard_name(k): shards[k] for k in stale}, writer.row_bytes)
        done = len(wanted) - sum(len(shards[k]) for k in stale)
        for k in stale:
            for n, _ in enumerate(writer.write(out / shard_name(k), shards[k], plans[k]), start=1):
                tell(done + n, len(wanted))
            done += len(shards[k])
            if written:
                written.add(_attribute(out / shard_name(k), "content"))
    entries = [entry for k in range(len(shards)) for entry in _read_index(out / shard_name(k), k, skips)]
    if not entries:
        reasons = ", ".join(skips.to_dict()) or "none was asked for"
        raise UserError(f"{root}: no video has features of {', '.join(features)} that can be used ({reasons})")
    _write_videos(out / VIDEOS, entries)
    summary = {"videos": len(entries), "rows": sum(entry[3] for entry in entries), "shards": len(shards)}
    return {**summary, "width": writer.width, "files": count_files(features, surveyed)}


def _split(videos: Sequence[Video], row_bytes: int, shard_bytes: int) -> Iterator[list[Video]]:
    """Cut into shards of at most `shard_bytes`; a longer video has one of its own."""
    shard: list[Video] = []
    filled = 0
    for video in videos:
        size = video.length * row_bytes
        if shard and filled + size > shard_bytes:
            yield shard
            shard, filled = [], 0
        shard.append(video)
        filled += size
    if shard:
        yield shard


@dataclass(frozen=True)
class Written:
    """The file `path`, JSON, notes the content of every shard that the code of digest `code` wrote."""

    path: Path
    code: str

    def contents(self) -> list[str]:
        noted = read_json(self.path) if self.path.exists() else {}
        return noted["contents"] if noted.get("code") == self.code else []

    def add(self, content: str) -> None:
        write_json(self.path, {"code": self.code, "contents": sorted({*self.contents(), content})})


def _plan_digest(shard: Sequence[Video], features: Mapping[str, FeatureSet], storage: str) -> str:
    settings = {name: one.model_dump() for name, one in features.items()}
    content = [(video.uid, [file.suffix for file in video.files], video.checksums, video.length) for video in shard]
    return hashlib.sha256(json.dumps([storage, list(settings.items()), content]).encode()).hexdigest()


def _is_done(path: Path, plan: str, written: Written | None) -> bool:
    """Whether a shard is whole and from this plan, and from the code at hand where that is noted."""
    try:
        done = _attribute(path, "plan") == plan
        return done and (written is None or _attribute(path, "content") in written.contents())
    except (FileNotFoundError, DamagedHDF5):
        return False


def _attribute(path: Path, name: str) -> str:
    with whole_hdf5(path) as file:
        return str(file.attrs[name].tobytes().decode())


def _clear(out: Path, shards: int) -> None:
    """Take away what a reader must not find: the list of an earlier run first, then its spare shards and torn files."""
    (out / VIDEOS).unlink(missing_ok=True)
    kept = {shard_name(k) for k in range(shards)}
    for pattern in ("shard-*.h5", f"{PARTIAL}*"):
        for path in out.glob(pattern):
            if path.name not in kept:
                path.unlink()


def _check_space(out: Path, shards: Mapping[str, Sequence[Video]], row_bytes: int) -> None:
    """UserError where the shards to write do not fit, with the room of those that they replace."""
    needed = sum(video.length for shard in shards.values() for video in shard) * row_bytes
    replaced = sum((out / name).stat().st_size for name in shards if (out / name).exists())
    free = shutil.disk_usage(out).free + replaced
    if needed > free:
        raise UserError(f"{out}: the shards need {needed >> 20} MB, the disk has {free >> 20} MB free; make room")


@dataclass(frozen=True)
class _Source:
    """A video of a shard; its files are opened by the thread that comes first, and closed when no part is left."""

    video: Video
    start: int  # row of the shard where it begins
    sets: Sequence[FeatureSet]

    @cached_property
    def features(self) -> VideoFeatures:
        return VideoFeatures(self.video.files, self.sets)


class _Writer:
    """Writes one shard after the other, a pool of threads copying parts of videos side by side."""

    def __init__(self, pool: ThreadPoolExecutor, ahead: int, features: Mapping[str, FeatureSet], storage: str) -> None:
        self.pool, self.ahead, self.sets, self.storage = pool, ahead, list(features.values()), storage
        self.width = sum(one.size for one in self.sets)
        self.row_bytes = self.width * np.dtype(storage).itemsize
        self.part_rows = max(PART_BYTES // self.row_bytes, 1)

    def write(self, path: Path, videos: Sequence[Video], plan: str) -> Iterator[None]:
        """Write one shard, yielding after each video. One whose rows are spoilt leaves its place unused."""
        index: list[tuple[bytes, int, int]] = []
        zeroed: dict[str, int] = {}
        spoilt: dict[str, str] = {}
        content = hashlib.sha256()
        shape = (sum(video.length for video in videos), self.width)
        with (
            new_table(path, "rows", shape, self.storage) as (file, table),
            closing(ahead(self.pool, partial(self._copy, table), self._parts(videos), self.ahead)) as copied,
        ):
            start = 0
            for video in videos:
                parts = [next(copied) for _ in range(0, video.length, self.part_rows)]
                content.update(b"".join(digest for _, _, digest in parts))
                bad, reason = sum(bad for bad, _, _ in parts), max(reason for _, reason, _ in parts)
                reason = reason or too_many_zeroed(video.length, bad)
                if reason:
                    spoilt[video.uid] = reason
                else:
                    index.append((video.uid.encode(), start, video.length))
                    zeroed |= {video.uid: bad} if bad else {}
                start += video.length
                yield
            uid_bytes = max((len(entry[0]) for entry in index), default=1)
            entries = np.array(index, [("uid", f"S{uid_bytes}"), ("start", "<i8"), ("length", "<i8")])
            file.create_dataset("index", data=entries, track_times=False)
            notes = {"plan": plan, "spoilt": json.dumps(spoilt), "zeroed": json.dumps(zeroed)}
            content.update(repr((index, notes)).encode())
            for name, value in (notes | {"content": content.hexdigest()}).items():
                file.attrs[name] = np.void(value.encode())  # of any length, unlike a text

    def _parts(self, videos: Sequence[Video]) -> Iterator[tuple[_Source, int]]:
        """Every part of every video: where it is from, and its first row there."""
        start = 0
        for video in videos:
            source = _Source(video, start, self.sets)
            yield from ((source, first) for first in range(0, video.length, self.part_rows))
            start += video.length

    def _copy(self, table: RowsOnDisk, part: tuple[_Source, int]) -> tuple[int, str, bytes]:
        """Copy a part; how many of its rows were set to zero, why its video cannot be stored, if so, and a digest of
        what was written.
        """
        source, first = part
        length = source.video.length
        try:
            features = source.features
        except DamagedFile as error:
            return 0, str(error), b""
        if len(features) != length:
            return 0, "feature file that changed while read", b""
        bad, content = 0, hashlib.sha256()
        for at, rows, zeroed in features.blocks(first, min(first + self.part_rows, length), self.storage):
            table.write(source.start + at, rows)
            content.update(np.ascontiguousarray(rows).data)
            bad += zeroed
        return bad, "", content.digest()


def _read_index(path: Path, shard: int, skips: Skips) -> list[tuple[str, int, int, int]]:
    """Entries of videos.csv for one shard; what its writer left out or mended is counted, also where it is reused."""
    with whole_hdf5(path) as file:
        for uid, reason in json.loads(file.attrs["spoilt"].tobytes()).items():
            skips.add(reason, uid)
        for uid, bad in json.loads(file.attrs["zeroed"].tobytes()).items():
            skips.add(ZEROED, f"{uid}: {bad} rows")
        return [(uid.decode(), shard, int(start), int(length)) for uid, start, length in file["index"][...]]


def _write_videos(path: Path, entries: Iterable[Sequence[object]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, *entries])


def write_lengths(folder: Path, path: Path) -> None:
    """Write `path`, a CSV of the rows that each video in a folder of shards has: video_uid,length."""
    lengths = FeatureShards(folder).lengths()
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([LENGTHS, *lengths.items()])
