"""How fast shards are written, against `cp` of the same files in the same run: python -m tests.benchmarks.sharding

The corpus is generated: feature files of whole videos whose lengths follow Ego4D's (mean 24 minutes, up to 2 hours and
more). Prints one line of JSON.
"""

from __future__ import annotations

import argparse
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

ROOT = Path(__file__).resolve().parents[2]
MEAN_MINUTES, LONGEST_MINUTES, SPREAD = 24.0, 140.0, 0.9  # of a log-normal distribution
ROWS_A_MINUTE = 60 * 30 / 16
NAME = "features"


def generate(root: Path, megabytes: int, width: int) -> dict[str, Any]:
    """Feature files of about `megabytes` in all; what was made."""
    import torch

    rng = np.random.default_rng(0)
    folder = root / "features" / NAME
    folder.mkdir(parents=True)
    block = torch.from_numpy(rng.standard_normal((8192, width), dtype=np.float32))
    written, minutes = 0, []
    while written < megabytes << 20:
        drawn = rng.lognormal(np.log(MEAN_MINUTES) - SPREAD**2 / 2, SPREAD)
        minutes.append(min(max(drawn, 0.5), LONGEST_MINUTES))
        rows = int(minutes[-1] * ROWS_A_MINUTE)
        video = block.repeat(-(-rows // len(block)), 1)[:rows].clone()
        torch.save(video, folder / f"{len(minutes):06d}.pt")
        written += 4 * rows * width
    return {
        "videos": len(minutes),
        "megabytes": written >> 20,
        "mean_minutes": round(float(np.mean(minutes)), 1),
        "longest_minutes": round(max(minutes)),
    }


def shard(root: Path, out: Path, width: int, shard_mb: int) -> None:
    """What the stage does; run in a process of its own, whose peak memory is printed."""
    import torch  # noqa: F401  its seconds belong to the start, not to the rate

    from egopack.data.shards import write_shards
    from egopack.ego4d.layout import feature_uids
    from egopack.ego4d.skips import Skips
    from egopack.params import FeatureSet

    sets = {NAME: FeatureSet(size=width)}
    began = time.perf_counter()
    write_shards(root, sets, feature_uids(root, sets), out, skips=Skips(), shard_bytes=shard_mb << 20)
    print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def timed_shard(root: Path, out: Path, width: int, shard_mb: int) -> tuple[float, int]:
    """Seconds and peak megabytes; the seconds are without the start of Python and its imports."""
    done = start(root, out, width, shard_mb)
    told, _ = done.communicate()
    assert done.returncode == 0
    seconds, megabytes = told.split()
    return float(seconds), int(megabytes)


def start(root: Path, out: Path, width: int, shard_mb: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.sharding", "--child", str(root), str(out)]
    command += ["--width", str(width), "--shard-mb", str(shard_mb)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def timed_copy(root: Path, to: Path) -> float:
    """Seconds of `cp`, and until its files are on the disk, as the shards are."""
    began = time.perf_counter()
    subprocess.run(["cp", "-r", str(root / "features"), str(to)], check=True)
    subprocess.run(["sync", "-f", str(to)], check=True)
    return time.perf_counter() - began


def interrupted(root: Path, out: Path, width: int, shard_mb: int) -> dict[str, int]:
    """Kill a run half way, run it again: how many shards there were, and how many of those were written again."""
    process = start(root, out, width, shard_mb)
    while len(whole(out)) < 2 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = whole(out)
    timed_shard(root, out, width, shard_mb)
    after = whole(out)
    again = sum(after.get(name) != inode for name, inode in before.items())
    return {"shards": len(after), "whole_when_killed": len(before), "written_again": again}


def whole(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")}


def measure(folder: Path, megabytes: int, width: int, shard_mb: int, rounds: int) -> dict[str, Any]:
    root = folder / "raw"
    result = generate(root, megabytes, width) | {"width": width}
    copies, runs, peaks = [], [], []
    for _ in range(rounds):  # in turn, so that both meet the same machine
        copies.append(timed_copy(root, folder / "copy"))
        shutil.rmtree(folder / "copy")
        seconds, peak = timed_shard(root, folder / "shards", width, shard_mb)
        runs.append(seconds)
        peaks.append(peak)
        shutil.rmtree(folder / "shards")
    result |= {"cp_s": round(min(copies), 2), "shard_s": round(min(runs), 2), "peak_mb": max(peaks)}
    result["share_of_cp_speed"] = round(min(copies) / min(runs), 2)
    result["megabytes_a_second"] = round(result["megabytes"] / min(runs))
    return result | interrupted(root, folder / "shards", width, max(shard_mb // 4, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=3072, help="size of the generated corpus")
    parser.add_argument("--width", type=int, default=256, help="numbers a row (EgoVLP 256, Omnivore 1536)")
    parser.add_argument("--shard-mb", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where there is room for three times the corpus")
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        shard(*chosen.child, chosen.width, chosen.shard_mb)
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        result = measure(Path(folder), chosen.megabytes, chosen.width, chosen.shard_mb, chosen.rounds)
    print(json.dumps({"benchmark": "sharding", "cores": os.cpu_count()} | result))


if __name__ == "__main__":
    main()
