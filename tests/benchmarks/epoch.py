"""What an epoch reads of the shards: the rows of its clips and little else.

The rows of all clips, drawn from a generated corpus like `tests.benchmarks.sharding`'s, out of shards that are not in
the page cache, against one read a clip at its place in the file. `read_mb` is what was fetched from the disk for it,
`rows_mb` what those rows are, `shards_mb` what they were chosen from.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from egopack.data.shard_reader import FeatureShards
from tests.benchmarks.measure import Work, digits
from tests.benchmarks.sharding import WIDTHS, Corpus, forget

CLIP_ROWS, CLIPS_A_VIDEO = 590, 1


def make(case: str, quick: bool) -> Work:
    corpus = Corpus(WIDTHS["egovlp"], quick)
    corpus.shard()
    folder = corpus.out
    shards = FeatureShards(folder)
    generator = np.random.default_rng(0)
    clips: list[tuple[str, np.ndarray]] = []
    for uid in shards.uids:
        for _ in range(CLIPS_A_VIDEO):
            count = min(CLIP_ROWS, shards.length(uid))
            first = int(generator.integers(0, shards.length(uid) - count + 1))
            clips.append((uid, np.arange(first, first + count)))
    generator.shuffle(clips)
    asked = sum(len(rows) for _, rows in clips) * 4 * corpus.width
    places = places_of(shards, clips)
    read: list[int] = []

    def ours() -> float:
        before = bytes_read()
        fresh = FeatureShards(folder)  # what one has mapped stays in the cache
        total = sum(float(fresh.rows(uid, rows)[0, 0]) for uid, rows in clips)
        read.append(bytes_read() - before)
        return total

    def cold() -> None:
        for path in folder.iterdir():
            forget(path)

    def extra() -> dict[str, Any]:
        return {
            "clips": len(clips),
            "videos": corpus.about["videos"],
            "shards_mb": sum(path.stat().st_size for path in folder.iterdir()) >> 20,
            "rows_mb": asked >> 20,
            "read_mb": int(np.median(read)) >> 20,
            "read_over_rows": digits(float(np.median(read)) / asked),
        }

    def check() -> None:
        assert quick or max(read) < 1.2 * asked, f"{max(read)} bytes were read for rows of {asked}"

    return Work(ours, reading(places), "one read a clip at its place", goal=2.0, prepare=cold, check=check, extra=extra)


def places_of(shards: FeatureShards, clips: list[tuple[str, np.ndarray]]) -> list[tuple[Path, int, int]]:
    """File, offset and bytes of every clip's rows."""
    places, offsets = [], {}
    for path in sorted(shards.folder.glob("shard-*.h5")):
        with h5py.File(path) as file:
            for uid, start, _ in file["index"][...]:
                offsets[uid.decode()] = path, file["rows"].id.get_offset() + int(start) * 4 * shards.width
    for uid, rows in clips:
        path, offset = offsets[uid]
        places.append((path, offset + int(rows[0]) * 4 * shards.width, len(rows) * 4 * shards.width))
    return places


def reading(places: list[tuple[Path, int, int]]) -> Callable[[], float]:
    def run() -> float:
        handles = {path: os.open(path, os.O_RDONLY) for path in {place[0] for place in places}}
        total = 0.0
        for path, offset, size in places:
            total += float(np.frombuffer(os.pread(handles[path], size, offset), np.float32)[0])
        for handle in handles.values():
            os.close(handle)
        return total

    return run


def bytes_read() -> int:
    """What this process has had fetched from the disk."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("read_bytes")).split()[1])
