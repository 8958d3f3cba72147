"""A training that was stopped resumes with other threads, ranks or processors, or says what keeps it from that."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from egopack.runtime.ranks import ALONE, Ranks
from egopack.training.elsewhere import differences, of_another_run, setting_of
from egopack.training.state import STATE, Scratch, random_state, read_records, run_digest, set_random_state
from tests.support.stopped import stop_after
from tests.support.threads import threads
from tests.support.workplace import Workplace

CPU = torch.device("cpu")
TRAINING, MODEL, CURVE = ("train_single", "ar"), Path("data/models/single/ar"), Path("metrics/curves/single/ar.csv")


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    """Where a training of some steps can run, without dropout, so that other settings differ by rounding alone."""
    for stage in (["shard"], ["index", "ar"]):
        assert workplace.run(*stage).exit_code == 0
    workplace.edit_params(lambda params: params["backbone"].update(dropout=0.0))
    workplace.edit_params(lambda params: params["tasks"]["ar"]["train"].update(epochs=6, batch_size=2))
    workplace.edit_params(lambda params: params.update(runtime={"reproducible": "here", "threads": 1, "save_every": 1}))
    return workplace


def losses() -> np.ndarray:
    with CURVE.open(newline="") as file:
        return np.array([list(map(float, row.values())) for row in csv.DictReader(file)])


def promise() -> dict[str, str] | None:
    with safe_open(MODEL / "model.safetensors", framework="pt") as file:
        return file.metadata()


def test_with_other_threads(place: Workplace) -> None:
    with threads(1):
        assert place.run(*TRAINING).exit_code == 0
    whole, curve = load_file(MODEL / "model.safetensors"), losses()
    assert promise() == {"reproducible": "here"}
    with threads(1):
        stop_after(4, place, *TRAINING)
        place.edit_params(lambda params: params["runtime"].update(threads=2))
        done = place.run(*TRAINING)
    assert (
        "single/ar: resumes after step 4 of a run that was stopped, with other threads (1 there, 2 here): "
        in done.output
    )
    torch.testing.assert_close(load_file(MODEL / "model.safetensors"), whole, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(losses(), curve, rtol=1e-5)
    assert promise() is None  # no machine gives these bytes in one go
    assert not list(Path("data/scratch").glob(f"*/{STATE}"))


def test_there_and_back_again(place: Workplace) -> None:
    """A run that has once been elsewhere stays one that has."""
    with threads(1):
        stop_after(2, place, *TRAINING)
        place.edit_params(lambda params: params["runtime"].update(threads=2))
        stop_after(5, place, *TRAINING)
        place.edit_params(lambda params: params["runtime"].update(threads=1))
        done = place.run(*TRAINING)
    assert "resumes after step 5 of a run that was stopped, with other threads (2 there, 1 here): " in done.output
    assert promise() is None


def test_with_the_same_setting_nothing_is_said_of_it(place: Workplace) -> None:
    with threads(1):
        stop_after(3, place, *TRAINING)
        done = place.run(*TRAINING)
    assert re.search(r"resumes after step 3 of a run that was stopped$", done.output, re.MULTILINE)
    assert promise() == {"reproducible": "here"}


OTHERS = {
    "lr": (
        lambda params: params["tasks"]["ar"]["train"].update(lr=0.25),
        r"params\.lr \([\d.]+ there, 0\.25 here\); with",
    ),
    "seed": (lambda params: params.update(seed=5), r"weights, seed \(0 there, 5 here\), loaders\.ar\.seed"),
    "batch": (
        lambda params: params["tasks"]["ar"]["train"].update(batch_size=3),
        r"params\.batch_size \(2 there, 3 here\), loaders\.ar\.batch_size",
    ),
    "precision": (
        lambda params: params["runtime"].update(precision="bf16"),
        r"runtime\.precision \('fp32' there, 'bf16' here\); with",
    ),
    "data": (lambda params: params["data"].update(storage="float16"), r"features; with"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_is_told_of_and_resumes_when_it_is_back(name: str, place: Workplace) -> None:
    change, told = OTHERS[name]
    before = (place.folder / "params.yaml").read_text()
    with threads(1):
        stop_after(3, place, *TRAINING)
        place.edit_params(change)
        if name == "data":
            assert place.run("shard").exit_code == 0
        done = place.run(*TRAINING)
        said = rf"single/ar: begins anew; the state after step 3 in data/scratch/\w+ is of a run with other {told}"
        assert re.search(said, done.output), done.output
        assert "resumes after" not in done.output
        (place.folder / "params.yaml").write_text(before)
        if name == "data":
            assert place.run("shard").exit_code == 0
        assert "resumes after step 3" in place.run(*TRAINING).output
        assert "begins anew" not in place.run(*TRAINING).output


def kept(folder: Path, name: str, step: int, **run: Any) -> Path:
    run = {"name": name} | run
    scratch = Scratch(folder / run_digest(run), 1, run, {"threads": 1})
    scratch.save({"a": torch.ones(1)}, {"step": step})
    os.utime(scratch.folder / STATE, (step, step))
    return scratch.folder


def test_the_newest_state_of_the_same_name(tmp_path: Path) -> None:
    kept(tmp_path, "single/ar", 7, lr=1.0)
    newest = kept(tmp_path, "single/ar", 9, lr=2.0)
    kept(tmp_path, "single/mq", 11, lr=3.0)
    damaged = kept(tmp_path, "single/ar", 13, lr=4.0) / STATE
    damaged.write_bytes(damaged.read_bytes()[:20])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / STATE).write_text("mine")
    assert [record["step"] for _, record in read_records(tmp_path)] == [11, 9, 7]
    said = of_another_run(tmp_path, {"name": "single/ar", "lr": 5.0})
    assert said.startswith(f"the state after step 9 in {newest} is of a run with other lr (2.0 there, 5.0 here); ")
    assert of_another_run(tmp_path, {"name": "single/pnr"}) == ""
    assert of_another_run(tmp_path / "none", {"name": "single/ar"}) == ""


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ({"a": 1}, {"a": 1}, ""),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b ([1, 2] there, [1, 3] here)"),
        ({"a": 1}, {"a": 1, "b": 2}, "b ('nothing' there, 2 here)"),
        ({"a": {}}, {"a": {"x": 1}}, "a.x ('nothing' there, 1 here), a ({} there, 'nothing' here)"),
        ({"code": "a" * 64}, {"code": "b" * 64}, "code"),
        (
            dict.fromkeys("abcde", 1),
            dict.fromkeys("abcde", 2),
            "a (1 there, 2 here), b (1 there, 2 here), c (1 there, 2 here) and 2 more",
        ),
    ],
)
def test_differences(there: dict[str, Any], here: dict[str, Any], said: str) -> None:
    assert differences(there, here) == said


def test_a_setting_is_what_a_training_runs_on() -> None:
    with threads(3):
        assert setting_of(CPU, ALONE) | {"processor": ""} == {
            "device": "cpu",
            "processor": "",
            "threads": 3,
            "ranks": 1,
        }
    assert setting_of(torch.device("cuda:1"), Ranks(3, 4)) | {"device": "cuda", "ranks": 4} == setting_of(
        torch.device("cuda:0"), Ranks(0, 4)
    )
    json.dumps(setting_of(CPU, ALONE))


def test_a_rank_that_the_run_did_not_have_draws_anew() -> None:
    """By the seed and the step: the same again each time, and not what was drawn before."""
    torch.manual_seed(5)
    first = torch.rand(3)
    drawn = []
    for seed, step in ((5, 0), (5, 10), (6, 10), (5, 10), (2**63 - 1, 10)):
        torch.manual_seed(seed)
        set_random_state({}, CPU, step)
        drawn.append(torch.rand(3))
    assert torch.equal(drawn[0], first)
    assert torch.equal(drawn[1], drawn[3])
    assert len({tuple(one.tolist()) for one in drawn}) == 4
    torch.manual_seed(5)
    states = random_state(CPU)
    torch.rand(7)
    set_random_state(states, CPU, 10)
    assert torch.equal(torch.rand(3), first)
