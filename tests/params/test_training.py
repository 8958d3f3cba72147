from __future__ import annotations

from pathlib import Path

import pytest

from egopack.params import OptimizerParams, RuntimeParams
from tests.support.params_tree import changed, load_all, refusal


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_devices(device: str) -> None:
    assert RuntimeParams(device=device).device == device


def test_a_number_alone_is_no_device(tmp_path: Path) -> None:
    assert refusal(changed("runtime.device", "0"), tmp_path).startswith("runtime.device: ")


def test_numbers_written_as_text_are_read() -> None:
    params = OptimizerParams.model_validate({"epochs": "3", "warmup_epochs": "0", "lr": "1e-05"})
    assert (params.epochs, params.warmup_epochs, params.lr) == (3, 0, 1e-5)
    assert type(params.lr) is float


def test_warmup_longer_than_training(tmp_path: Path) -> None:
    assert refusal(changed("multi.warmup_epochs", 4), tmp_path) == "multi: warmup_epochs 4 exceeds epochs 3"
    load_all(changed("multi.warmup_epochs", 3), tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("device", "cuda"), ("threads", 2), ("precision", "bf16"), ("compile", True)]
)
def test_what_cannot_be_the_same_anywhere_is_refused(name: str, value: object, tmp_path: Path) -> None:
    def params(reproducible: str) -> dict[str, object]:
        return changed("runtime", {"reproducible": reproducible, name: value})

    assert refusal(params("anywhere"), tmp_path) == (
        "runtime: reproducible: anywhere takes one thread in fp32 on the CPU, not compiled; "
        f"with {name}: {value} set reproducible to here"
    )
    load_all(params("here"), tmp_path)


def test_what_takes_one_thread_of_the_cpu_can_be_the_same_anywhere(tmp_path: Path) -> None:
    for threads, device in ((0, "auto"), (1, "cpu")):
        load_all(changed("runtime", {"reproducible": "anywhere", "threads": threads, "device": device}), tmp_path)
