"""Training and evaluating for long neither grows in memory nor leaves a thread, a process or an open file."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import torch

from egopack.evaluation.predict import predict
from egopack.params import OptimizerParams
from egopack.training.loop import train
from tests.support import small
from tests.support.train_tiny import loaders_of
from tests.support.workplace import ROOT, Workplace

STEPS, EVALUATIONS, MIB = 2000, 200, 2**20


def test_memory_is_flat_and_threads_end() -> None:
    process, loaders, network = psutil.Process(), loaders_of(tasks=("ar",)), small.network_of("ar")
    gc.collect()
    threads, files = threading.active_count(), process.num_fds()
    used: list[int] = []

    def on_step(done: int, total: int) -> None:
        if done % 100 == 0:
            gc.collect()
            used.append(process.memory_info().rss)

    params = OptimizerParams(epochs=STEPS // len(loaders["ar"]), warmup_epochs=0, lr=1e-4)
    train(network, loaders, params, device=torch.device("cpu"), on_step=on_step)
    decode = network.head("ar").Decode()
    samples = small.samples_of("ar", 3)
    for index in range(EVALUATIONS):
        predict(network, "ar", samples, small.Features(), decode, seed=0, device=torch.device("cpu"))
        if index % 20 == 19:
            gc.collect()
            used.append(process.memory_info().rss)
    assert len(used) == STEPS / 100 + EVALUATIONS / 20
    assert max(used[2:]) - used[2] < 0.02 * used[2], [one // MIB for one in used]
    assert threading.active_count() <= threads  # other tests' may end meanwhile
    assert process.num_fds() <= files


ABANDON = """
import threading, psutil
from stages.train_single import main as train
from stages.evaluate_single import main as evaluate
from stages._common import MODELS, SAMPLES, SHARDS
from egopack.data.loader import Loader
from egopack.data.shard_reader import FeatureShards
from egopack.data.splits import read_split

def held():
    threads = [one.name for one in threading.enumerate() if not one.daemon]
    return psutil.Process().num_fds(), len(threads), psutil.Process().children(recursive=True)

before = held()
train(["ar"], standalone_mode=False)
evaluate(["ar"], standalone_mode=False)
assert held() == before, (before, held())

def begun():
    samples = read_split(SAMPLES / "ar", "train")
    loader = Loader(samples, FeatureShards(SHARDS), batch_size=1, levels=1, radius_s=1.0)
    streams = [loader.epoch(), loader.epoch(1), loader.forever()]
    for stream in streams:
        next(stream)
    return streams

streams = begun()
assert held()[1] == before[1] + len(streams)
del streams
assert held() == before, (before, held())
streams = begun()
print("left in the middle")
"""


def test_nothing_is_left_at_exit(workplace: Workplace) -> None:
    for stage in (["shard"], ["index", "ar"]):
        assert workplace.run(*stage).exit_code == 0
    process = subprocess.Popen(
        [sys.executable, "-c", ABANDON],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.endswith("left in the middle\n")
    assert process.pid not in {os.getsid(one) for one in psutil.pids() if Path(f"/proc/{one}").exists()}
