"""Two processes train what one does: the same curves, weights, prototypes and predictions; a lost rank is told."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from egopack.data.loader import Loader
from egopack.evaluation import predict as prediction
from egopack.runtime.ranks import ALONE, TORCHRUN
from egopack.tasks.base import load_task
from tests.support import ranks_tiny, small
from tests.support.ranks_tiny import STAGES, Found
from tests.support.stopped import stop_after
from tests.support.workplace import ROOT, Workplace

pytestmark = pytest.mark.xdist_group("ranks")  # two processes are started once for all tests
WORLD = 2
CURVE, WEIGHTS = 1e-5, 2e-5
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Iterator[Workplace]:
    """A folder in which any stage that trains can run, without dropout; it is the current one."""
    folder = tmp_path_factory.mktemp("ranks") / "one"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("EGO4D_ROOT", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        place = Workplace(folder, small_corpus)
        place.edit_params(lambda params: params["backbone"].update(dropout=0.0))
        ready = [("fingerprint",), ("shard",), *(("index", name) for name in small.TASKS), ("fill_pack", "without_ar")]
        for stage, *arguments in ready:
            assert place.run(stage, *arguments).exit_code == 0
        yield place


@pytest.fixture(scope="module")
def together_in(prepared: Workplace) -> Path:
    """A copy of it for two processes."""
    return shutil.copytree(prepared.folder, prepared.folder.parent / "two")


@pytest.fixture(scope="module")
def alone_in(prepared: Workplace, together_in: Path) -> Path:
    """Where one process ran the stages."""
    for stage, argument in STAGES:
        assert prepared.run(stage, argument).exit_code == 0
    return prepared.folder


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, together_in: Path) -> tuple[list[Found], list[str]]:
    """What each of two processes found, and what it said."""
    out = tmp_path_factory.mktemp("ranks")
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(WORLD)}
    address[TORCHRUN] = "none"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.ranks_tiny", str(out), str(together_in)],
            cwd=ROOT,
            env=ENVIRONMENT | QUIET | address | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(WORLD)
    ]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * WORLD, said
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(WORLD)], said


@pytest.fixture(scope="module")
def alone() -> Found:
    """What one process finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "SAMPLES_AT_ONCE", 2)
        return {"trainings": ranks_tiny.trainings(ALONE), "evaluations": ranks_tiny.evaluations(ALONE)}


TRAININGS = [f"{regime} {name}" for regime in ("single", "egopack") for name in small.TASKS] + ["multi", "extras"]


@pytest.mark.parametrize("name", [*TRAININGS, "hollow"])
def test_curves_and_weights_are_those_of_one_process(name: str, together: Any, alone: Found) -> None:
    expected, (found, other) = alone["trainings"][name], [one["trainings"][name] for one in together[0]]
    assert len(found["steps"]) == len(expected["steps"]) >= 6
    for step, want in zip(found["steps"], expected["steps"], strict=True):
        torch.testing.assert_close(step["losses"], want["losses"], atol=CURVE, rtol=CURVE)
        torch.testing.assert_close(step["grad_norm"], want["grad_norm"], atol=CURVE, rtol=1e-4)
    assert found["weights"].keys() == expected["weights"].keys()
    for key, value in found["weights"].items():
        torch.testing.assert_close(value, expected["weights"][key], atol=WEIGHTS, rtol=WEIGHTS, msg=key)
    torch.testing.assert_close(found, other, atol=0, rtol=0)  # ranks stay in lockstep, to the bit
    assert found["scores"] == expected["scores"]


def test_predictions_are_those_of_one_process_to_the_bit(together: Any, alone: Found) -> None:
    for one in together[0]:
        assert one["evaluations"]["tables"] == alone["evaluations"]["tables"]


def test_prototypes_are_those_of_one_process(together: Any, alone: Found) -> None:
    expected = alone["evaluations"]
    for one in together[0]:
        torch.testing.assert_close(one["evaluations"]["rows"], expected["rows"], atol=1e-7, rtol=1e-6)
        assert torch.equal(one["evaluations"]["verb"], expected["verb"])
        assert torch.equal(one["evaluations"]["noun"], expected["noun"])


def test_ranks_go_on_from_a_state_to_the_same_bits(together: Any) -> None:
    first, second = together[0]
    for one in (first, second):
        assert one["whole"]["told"] == []
        assert one["resumed"]["told"] == [4]
        assert one["resumed"] | {"told": []} == one["whole"]
    assert first["whole"]["weights"] == second["whole"]["weights"]
    assert first["whole"]["seed"] != second["whole"]["seed"], "ranks drop out alike"


def curve(path: Path) -> np.ndarray:
    with path.open(newline="") as file:
        return np.array([list(map(float, row.values())) for row in csv.DictReader(file)])


def test_stages_write_what_one_process_does(together: Any, alone_in: Path, together_in: Path) -> None:
    files = [{path.relative_to(top) for path in top.rglob("*")} for top in (alone_in, together_in)]
    assert files[0] == files[1]
    for name in ("single/mq", "multi/without_ar", "egopack/ar"):
        one, two = (curve(top / f"metrics/curves/{name}.csv") for top in (alone_in, together_in))
        np.testing.assert_allclose(two, one, rtol=2e-5)
        weights = [load_file(top / f"data/models/{name}/model.safetensors") for top in (alone_in, together_in)]
        torch.testing.assert_close(weights[1], weights[0], atol=1e-4, rtol=1e-4)
    rows = [load_file(top / "data/prototypes/without_ar.safetensors") for top in (alone_in, together_in)]
    torch.testing.assert_close(rows[1], rows[0], atol=1e-4, rtol=1e-4)
    spoken, silent = together[1]
    assert len(re.findall("^(data/models/)?egopack/ar: ", spoken, flags=re.MULTILINE)) == 2  # an epoch, and the end
    assert silent == ""


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_parts_of_a_batch_are_the_batch(world: int) -> None:
    loader = Loader(
        small.samples_of("pnr", 7), small.Features(), batch_size=3, levels=1, radius_s=2.0, augment=augmented
    )
    parts = [[batch for batch, _ in loader.part(rank, world).epoch(2)] for rank in range(world)]
    for index, (whole, _) in enumerate(loader.epoch(2)):
        own = [part[index] for part in parts if part[index].own]
        assert [key for one in own for key in one.keys] == list(whole.keys)
        labels = torch.cat([one.targets["frame_labels"] for one in own])
        assert torch.equal(labels, whole.targets["frame_labels"])
        assert torch.equal(torch.cat([one.x for one in own]), whole.x)
        assert all(part[index].keys == whole.keys[:1] for part in parts if not part[index].own)


def augmented(sample: Any, generator: np.random.Generator) -> Any:
    return load_task("pnr").augment(sample, small.task_params("pnr"), generator)


# --- a stage under torchrun


def torchrun() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORLD}"]
    command += ["-m", "stages.train_single", "ar"]
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_rank(launched: subprocess.Popen[str], rank: int) -> None:
    """SIGKILL to one rank, once there is a state to go on from."""
    until = time.monotonic() + 120
    while not list(Path("data/scratch").glob("*/state.safetensors")) and time.monotonic() < until:
        assert launched.poll() is None, launched.communicate()
        time.sleep(0.005)
    (victim,) = (child for child in psutil.Process(launched.pid).children() if child.environ().get("RANK") == str(rank))
    victim.send_signal(signal.SIGKILL)


def test_a_dead_rank_ends_the_stage_and_the_next_run_goes_on(prepared: Workplace, alone_in: Path) -> None:
    place = prepared
    place.edit_params(lambda params: params["tasks"]["ar"]["train"].update(epochs=40))
    place.edit_params(lambda params: params["runtime"].update(save_every=1))
    launched = torchrun()
    kill_rank(launched, 1)
    _, told = launched.communicate(timeout=60)
    assert launched.returncode != 0
    ours, _, _ = told.partition("Traceback")  # torchrun tells the rest
    lines = [line for line in ours.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, told
    kept = re.fullmatch(
        r"Error: rank 1 of 2 died or was cut off; the state after step (\d+) is kept: run the stage again to resume",
        lines[0],
    )
    assert kept
    assert not (place.folder / "data/models/single/ar").exists()

    again = torchrun()
    said, told = again.communicate(timeout=120)
    assert again.returncode == 0, told
    assert f"single/ar: resumes after step {kept[1]} of a run that was stopped" in said
    assert said.count("single/ar: epoch 40/40") == 1
    together = curve(place.folder / "metrics/curves/single/ar.csv")
    assert place.run("train_single", "ar").exit_code == 0
    alone = curve(place.folder / "metrics/curves/single/ar.csv")
    np.testing.assert_allclose(together[:, 1], alone[:, 1], rtol=1e-4)
    assert not list((place.folder / "data/scratch").glob("*/state.safetensors"))


@pytest.mark.parametrize("first", ["one process", "two"])
def test_a_run_that_was_stopped_resumes_with_other_ranks(first: str, prepared: Workplace, alone_in: Path) -> None:
    place = prepared
    place.edit_params(lambda params: params["tasks"]["ar"]["train"].update(epochs=8, batch_size=2))
    place.edit_params(lambda params: params["runtime"].update(save_every=1))
    shutil.rmtree("data/scratch", ignore_errors=True)
    assert place.run("train_single", "ar").exit_code == 0
    expected, whole = curve(Path("metrics/curves/single/ar.csv")), load_file("data/models/single/ar/model.safetensors")
    if first == "two":
        launched = torchrun()
        kill_rank(launched, 1)
        launched.communicate()
        done = place.run("train_single", "ar")
        said = done.output
    else:
        stop_after(5, place, "train_single", "ar")
        launched = torchrun()
        said = launched.communicate()[0]
        assert launched.returncode == 0
    there, here = (1, 2) if first == "one process" else (2, 1)
    assert re.search(
        rf"resumes after step \d+ of a run .*, with other ranks \({there} there, {here} here\): from", said
    ), said
    np.testing.assert_allclose(curve(Path("metrics/curves/single/ar.csv")), expected, rtol=2e-5)
    weights = load_file("data/models/single/ar/model.safetensors")
    torch.testing.assert_close(weights, whole, atol=1e-4, rtol=1e-4)
