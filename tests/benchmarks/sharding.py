"""How fast shards are written, held against `cp` of the same files.

The corpus is generated in the folder for temporary files ($TMPDIR; there must be room for five times its size): one
.pt file a video, lengths as Ego4D's (mean 24 minutes, up to 2 hours and more), 3 GB in all.

Both sides begin with the files out of the page cache, as they are where 25 or 152 GB are to be read, and end when what
they wrote is on the disk: every shard is synced, and `cp` is followed by `sync`. The same again with the files in the
cache, where it is the processor that counts, is `warm_ratio`. `cores_used` is of that; with $TMPDIR in memory
(/dev/shm) no disk is waited for, and it tells how many the copying can use. `process_mb` is the memory of the whole
process, its threads and the imports included. Keys `ego4d_*` are derived for 9,600 videos: their size over the rate
measured here.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from egopack.data.shard_reader import FeatureShards
from egopack.ego4d.features import read_features
from egopack.ego4d.layout import feature_uids
from egopack.ego4d.skips import Skips
from egopack.params import FeatureSet
from egopack.preparation.shards import write_shards
from tests.benchmarks.measure import Work, clock, digits

ROOT = Path(__file__).resolve().parents[2]
MEAN_MINUTES, LONGEST_MINUTES, SPREAD = 24.0, 140.0, 0.9  # of a log-normal distribution
ROWS_A_MINUTE = 60 * 30 / 16
EGO4D_ROWS = 3670 * 60 * ROWS_A_MINUTE  # of its 9,600 videos
NAME = "features"
WIDTHS = {"egovlp": 256, "omnivore": 1536}
MEGABYTES, QUICK_MEGABYTES = 3072, 8
SHARD_MB = 2048  # as params.ego4d.yaml has it


class Corpus:
    """A folder with generated feature files, and what is written from them; gone with the object."""

    def __init__(self, width: int, quick: bool) -> None:
        self.width, self.quick = 16 if quick else width, quick
        self._temporary = tempfile.TemporaryDirectory(prefix="sharding-")
        self.folder = Path(self._temporary.name)
        self.root = self.folder / "raw"
        self.runs = 0
        megabytes = QUICK_MEGABYTES if quick else MEGABYTES
        if shutil.disk_usage(self.folder).free < 5 * megabytes << 20:
            raise SystemExit(f"{self.folder}: less than {5 * megabytes} MB free; name another folder in $TMPDIR")
        self.about = generate(self.root, megabytes, self.width) if quick else self._child("generate", megabytes)
        subprocess.run(["sync", "-f", self.folder], check=True)

    @property
    def files(self) -> list[Path]:
        return sorted((self.root / "features" / NAME).iterdir())

    @property
    def out(self) -> Path:
        return self.folder / f"shards-{self.runs}"

    def shard(self, storage: str = "float32") -> None:
        shard(self.root, self.out, self.width, SHARD_MB, storage)

    def copy(self) -> None:
        subprocess.run(["cp", "-r", self.root / "features", self.folder / "copy"], check=True)
        subprocess.run(["sync", "-f", self.folder / "copy"], check=True)

    def clear(self) -> None:
        """Only what was written last stays, under a name that is not written again."""
        shutil.rmtree(self.folder / "copy", ignore_errors=True)
        shutil.rmtree(self.folder / f"shards-{self.runs - 1}", ignore_errors=True)
        self.runs += self.out.exists()

    def cold(self) -> None:
        self.clear()
        for path in self.files:
            forget(path)

    def warm(self) -> None:
        self.clear()
        for path in self.files:
            path.read_bytes()

    def check(self) -> None:
        """AssertionError unless the shards hold what the files do."""
        shards = FeatureShards(max(self.folder.glob("shards-*/videos.csv")).parent)
        assert len(shards) == len(self.files)
        for path in self.files[:: len(self.files) // 8]:
            np.testing.assert_array_equal(shards.read(path.stem), read_features(path))

    def interrupted(self) -> dict[str, int]:
        """Kill a run half way, run it again: how many shards there were, and how many of those were written again."""
        out, size = self.folder / "interrupted", MEGABYTES // 12
        process = self._start("shard", size, out)
        while len(whole(out)) < 3 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = whole(out)
        shard(self.root, out, self.width, size)
        after = whole(out)
        again = sum(after.get(name) != inode for name, inode in before.items())
        return {"shards_when_killed": len(before), "shards": len(after), "shards_written_again": again}

    def _child(self, what: str, megabytes: int) -> dict[str, Any]:
        told, _ = self._start(what, megabytes, self.folder).communicate()
        about: dict[str, Any] = json.loads(told)
        return about

    def _start(self, what: str, megabytes: int, out: Path) -> subprocess.Popen[str]:
        """A process of its own: to be killed, or to keep its memory out of the measurement."""
        arguments = [what, self.root, out, str(self.width), str(megabytes)]
        command = [sys.executable, "-m", "tests.benchmarks.sharding", *map(str, arguments)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def generate(root: Path, megabytes: int, width: int) -> dict[str, Any]:
    """Feature files of about `megabytes` in all; what was made."""
    import torch

    rng = np.random.default_rng(0)
    folder = root / "features" / NAME
    folder.mkdir(parents=True)
    block = torch.from_numpy(rng.standard_normal((8192, width), dtype=np.float32))
    rows: list[int] = []
    while 4 * width * sum(rows) < megabytes << 20:
        drawn = rng.lognormal(np.log(MEAN_MINUTES) - SPREAD**2 / 2, SPREAD)
        rows.append(int(min(max(drawn, 0.5), LONGEST_MINUTES) * ROWS_A_MINUTE))
        video = block.repeat(-(-rows[-1] // len(block)), 1)[: rows[-1]].clone()
        torch.save(video, folder / f"{len(rows):06d}.pt")
    return {
        "videos": len(rows),
        "corpus_mb": 4 * width * sum(rows) >> 20,
        "mean_minutes": digits(float(np.mean(rows)) / ROWS_A_MINUTE),
        "longest_minutes": digits(max(rows) / ROWS_A_MINUTE),
    }


def shard(root: Path, out: Path, width: int, shard_mb: int, storage: Any = "float32") -> None:
    """What the stage does."""
    sets = {NAME: FeatureSet(size=width)}
    uids = feature_uids(root, sets)
    write_shards(root, sets, uids, out, skips=Skips(), storage=storage, shard_bytes=shard_mb << 20)


def forget(path: Path) -> None:
    """Drop a file that is on the disk from the page cache."""
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def whole(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")}


def make(case: str, quick: bool) -> Work:
    corpus = Corpus(WIDTHS[case.removeprefix("sharding_")], quick)
    cold: list[float] = []

    def ours() -> None:
        cold.append(clock(corpus.shard))

    return Work(
        ours,
        corpus.copy,
        "cp of the same files, and sync",
        goal=2.0,
        prepare=corpus.cold,
        check=corpus.check,
        extra=lambda: more(corpus, float(np.median(cold))),
    )


def more(corpus: Corpus, cold_s: float) -> dict[str, Any]:
    """Warm files, float16, cores, an interruption, and what it all comes to for 9,600 videos."""
    before = processor_seconds()
    ours, other = [], []
    for _ in range(1 if corpus.quick else 3):
        corpus.warm()
        begun = processor_seconds()
        ours.append((clock(corpus.shard), processor_seconds() - begun))
        corpus.warm()
        other.append(clock(corpus.copy))
    assert processor_seconds() > before
    corpus.cold()
    half_s = clock(lambda: corpus.shard("float16"))
    warm_s, used_s = min(ours)
    result = corpus.about | {
        "width": corpus.width,
        "mb_per_s": digits(corpus.about["corpus_mb"] / cold_s),
        "float16_seconds": digits(half_s),
        "warm_seconds": digits(warm_s),
        "warm_against_seconds": digits(min(other)),
        "warm_ratio": digits(warm_s / min(other)),
        "cores_used": digits(used_s / warm_s),
        "cores": os.cpu_count(),
    }
    size = EGO4D_ROWS * corpus.width * 4
    scale = size / (corpus.about["corpus_mb"] << 20) / 60
    result |= {
        "ego4d_derived": "rows of 3,670 h at 30/16 a second; bytes of them; their bytes / the bytes measured * seconds",
        "ego4d_million_rows": digits(EGO4D_ROWS / 1e6),
        "ego4d_gb": digits(size / 1e9),
        "ego4d_minutes": digits(cold_s * scale),
        "ego4d_float16_gb": digits(size / 2e9),
        "ego4d_float16_minutes": digits(half_s * scale),
    }
    if not corpus.quick:
        result |= corpus.interrupted()
    return result


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    what, root, out, width, megabytes = sys.argv[1:]
    if what == "generate":
        print(json.dumps(generate(Path(root), int(megabytes), int(width))))
    else:
        shard(Path(root), Path(out), int(width), int(megabytes))
