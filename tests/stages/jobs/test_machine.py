"""What a machine has and what a stage takes of it: cores, memory, GPUs, ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.params import Params, load_params
from stages._jobs import machine

ROOT = Path(__file__).resolve().parents[3]
PARAMS = load_params(ROOT / "params.yaml")


def with_runtime(launcher: str = "python", **runtime: object) -> Params:
    return PARAMS.model_copy(
        update={"launcher": launcher, "runtime": PARAMS.runtime.model_copy(update={"reproducible": "here"} | runtime)}
    )


def test_a_container_bounds_cores_and_memory(tmp_path: Path) -> None:
    free, count = machine.free_bytes(tmp_path), machine.cores(tmp_path)
    assert free > 0
    assert count >= 1
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert machine.cores(tmp_path) == 1
    assert machine.free_bytes(tmp_path) == 4000
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.cores(tmp_path) == count
    assert machine.free_bytes(tmp_path) > 4000


def test_gpus_are_those_that_the_environment_or_the_driver_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus(with_runtime()) == ()
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert machine.gpus(with_runtime()) == ("0", "1")
    assert machine.gpus(with_runtime(device="cpu")) == ()
    assert machine.gpus(with_runtime(reproducible="anywhere")) == ()  # which computes on the CPU
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    assert machine.gpus(with_runtime()) == ("3", "GPU-abc")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.gpus(with_runtime()) == ()


@pytest.mark.parametrize(
    ("launcher", "count"),
    [
        ("python", 1),
        ("torchrun --standalone --nproc-per-node=4", 4),
        ("torchrun --standalone --nproc_per_node 2", 2),
        ("torchrun --nproc-per-node=gpu", 8),
        ("srun --ntasks-per-node=1 torchrun --nnodes=$SLURM_NNODES --nproc-per-node=4", 4),
    ],
)
def test_ranks_of_a_launcher(launcher: str, count: int) -> None:
    assert machine.ranks(launcher, 8) == count


def test_what_stages_take() -> None:
    params = with_runtime("torchrun --standalone --nproc-per-node=4")
    taken = {name: machine.job(f"stages.{name}", params, 8, None, 7.0) for name in STAGES}
    assert {name: (job.slots, job.gpus) for name, job in taken.items()} == STAGES
    assert {job.seconds for job in taken.values()} == {7.0}
    last = machine.job("stages.train_multi", params, 8, {"seconds": 3.5, "peak_bytes": 123.0}, 7.0)
    assert (last.seconds, last.memory) == (3.5, 4 * 123)


STAGES = {
    # slots and GPUs of each; the launcher starts what goes over the training data
    "train_single": (4, 4),
    "train_multi": (4, 4),
    "train_egopack": (4, 4),
    "evaluate_single": (1, 1),
    "evaluate_multi": (1, 1),
    "evaluate_egopack": (1, 1),
    "build_prototypes": (4, 4),
    "index": (1, 0),
    "fingerprint_code": (1, 0),
    "compare": (1, 0),
}
