"""Training and evaluating for long neither grows in memory nor leaves a thread or an open file."""

from __future__ import annotations

import gc
import threading

import psutil
import torch

from egopack.evaluation.predict import predict
from egopack.params import OptimiserParams
from egopack.training.loop import train
from tests import small
from tests.training.train_tiny import loaders_of

STEPS, MIB = 200, 2**20


def test_memory_is_flat_and_threads_end() -> None:
    process, loaders, network = psutil.Process(), loaders_of(tasks=("ar",)), small.network_of("ar")
    threads, files = threading.active_count(), process.num_fds()
    used: list[int] = []

    def on_step(done: int, total: int) -> None:
        if done % 20 == 0:
            gc.collect()
            used.append(process.memory_info().rss)

    params = OptimiserParams(epochs=STEPS // len(loaders["ar"]), warmup_epochs=0, lr=1e-4)
    train(network, loaders, params, device=torch.device("cpu"), on_step=on_step)
    decode = network.head("ar").Decode()
    samples = small.samples_of("ar", 3)
    for index in range(40):
        predict(network, "ar", samples, small.Features(), decode, seed=0, device=torch.device("cpu"))
        if index % 10 == 9:
            gc.collect()
            used.append(process.memory_info().rss)
    settled = used[len(used) // 4 :]
    assert max(settled) - settled[0] < 0.02 * settled[0] + 4 * MIB, [one // MIB for one in used]
    assert threading.active_count() == threads
    assert process.num_fds() <= files
