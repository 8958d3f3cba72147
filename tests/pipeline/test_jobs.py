"""`make repro` runs stages side by side, in the bytes of one after the other; also where some fail or are killed."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import psutil
import pytest

from tests.pipeline.conftest import ROOT, TASKS, Clone
from tests.pipeline.test_readme import commands
from tests.pipeline.test_repro import ALWAYS
from tests.pipeline.test_stopped import Begun, check_as_if_nothing_had_happened

REPRO = ("python", "-m", "stages.repro", "--jobs", "2")
EPOCHS = count(160)  # enough to be stopped after a state is saved and before the end; others each time
TRAININGS = [f"train_single@{task}" for task in TASKS]


def ran(output: str) -> set[str]:
    """The stages that ran to their end."""
    return set(re.findall(r"^ *[\d.]+  (\S+) +ran, ", output, re.MULTILINE))


def log(clone: Clone, stage: str) -> str:
    return (clone.path / f"data/jobs/logs/{stage}.log").read_text()


def wait_for_the_end_of_all(clone: Clone) -> None:
    """Whatever was started in the clone is gone within seconds."""
    until = time.monotonic() + 20
    while left := [one for one in psutil.process_iter() if is_in(one, clone.path)]:
        assert time.monotonic() < until, left
        time.sleep(0.05)


def is_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


def test_from_nothing_two_at_once(reproduced: Clone) -> None:
    """The clone was made so; test_repro.py compares its bytes with those of `dvc repro`, one stage after the other."""
    stages = set(reproduced.run("dvc", "stage", "list", "--name-only").stdout.split())
    assert ran(reproduced.first) == stages
    assert re.search(rf"^all +{len(stages)} +[\d.]+ in [\d.]+ s, 1\.[1-9]\d at once$", reproduced.first, re.MULTILINE)
    times = json.loads((reproduced.path / "first/times.json").read_text())
    assert set(times) == stages
    trained = [times[stage]["peak_bytes"] for stage in stages if stage.startswith("train")]
    assert all(100 << 20 < peak < 10 << 30 for peak in trained)
    picture = ElementTree.parse(reproduced.path / "first/gantt.svg")
    assert len(picture.findall(".//{*}title")) == len(stages)
    assert "epoch 1/" in (reproduced.path / "first/logs/train_single@ar.log").read_text()


def test_what_did_not_change_does_not_run(clone: Clone) -> None:
    done = clone.run(*REPRO)
    assert ran(done.stdout) == ALWAYS
    assert clone.git("status", "--porcelain") == ""
    assert ran(clone.run(*REPRO, "count", "train_single@mq").stdout) == ALWAYS


def test_a_failure_leaves_out_what_needs_it(clone: Clone) -> None:
    file = clone.path / "src/egopack/tasks/mq.py"
    code = file.read_text()
    file.write_text(code.replace('"map": 100 * float', '"map": 1 / 0 * float'))
    clone.edit(lambda params: params["tasks"]["ar"]["train"].update(lr=3.7e-3))
    done = clone.run(*REPRO, check=False)
    assert done.returncode == 1
    assert {"train_single@ar", "evaluate_single@ar"} <= ran(done.stdout)
    assert "ZeroDivisionError" in done.stdout
    failed, left = re.fullmatch(r"failed: (.*); not run, as they need what failed: (.*)\n", done.stderr).groups()  # type: ignore[union-attr]
    assert "evaluate_single@mq" in failed.split(", ")
    assert "compare" in left.split(", ")
    assert "ZeroDivisionError" in log(clone, "evaluate_single@mq")
    file.write_text(code)
    clone.edit(lambda params: params["tasks"]["ar"]["train"].update(lr=2e-3))
    check_as_if_nothing_had_happened(clone)


def begin_trainings(clone: Clone, output: Path) -> Begun:
    """Two trainings that last, side by side; returns when both have kept a state."""
    epochs = next(EPOCHS)
    for task in TASKS:
        clone.edit(lambda params, task=task: params["tasks"][task]["train"].update(epochs=epochs))  # type: ignore[misc]
    clone.edit(lambda params: params["runtime"].update(save_every=5))
    shutil.rmtree(clone.path / "data/scratch", ignore_errors=True)
    begun = Begun(clone, output, *REPRO, *TRAININGS)
    until = time.monotonic() + 240
    while len(list(clone.path.glob("data/scratch/*/state.safetensors"))) < len(TRAININGS):
        assert begun.process.poll() is None, begun.said()
        assert time.monotonic() < until, begun.said()
        time.sleep(0.05)
    return begun


def end_trainings(clone: Clone) -> None:
    """They go on where they were; then the clone is as it was."""
    assert ran(clone.run(*REPRO, *TRAININGS).stdout) == ALWAYS | set(TRAININGS)
    for stage in TRAININGS:
        assert re.search(r"resumes after step \d+ of a run that was stopped", log(clone, stage))
    clone.git("checkout", "params.yaml")
    check_as_if_nothing_had_happened(clone)


@pytest.mark.drill
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_all_keep_their_last_step(number: signal.Signals, clone: Clone, tmp_path: Path) -> None:
    """Ctrl-C reaches all that a terminal runs, SIGTERM the command alone."""
    begun = begin_trainings(clone, tmp_path / "output")
    if number == signal.SIGINT:
        status = begun.send(number)
    else:
        begun.process.send_signal(number)
        status = begun.process.wait()
    assert status == 130, begun.said()
    wait_for_the_end_of_all(clone)
    for stage in TRAININGS:
        assert re.search(r"stopped after step \d+; what was trained is kept", log(clone, stage))
        assert re.search(rf"  {stage} +stopped, ", begun.said())
    assert begun.said().endswith("stopped; the same command goes on\n")
    end_trainings(clone)


@pytest.mark.drill
@pytest.mark.parametrize("all_of_them", [True, False])
def test_killed_nothing_is_left_and_all_goes_on(all_of_them: bool, clone: Clone, tmp_path: Path) -> None:
    begun = begin_trainings(clone, tmp_path / "output")
    if all_of_them:
        assert begun.send(signal.SIGKILL) == -signal.SIGKILL
    else:
        begun.process.kill()
        begun.process.wait()
    wait_for_the_end_of_all(clone)
    end_trainings(clone)


@pytest.mark.drill
def test_killed_at_random_moments(clone: Clone, tmp_path: Path) -> None:
    """Among DVC's own work too: what ran before comes from its cache, or runs again, and all ends as it was."""
    generator = np.random.default_rng()
    (clone.path / "dvc.lock").unlink()
    for _ in range(3):
        begun = Begun(clone, tmp_path / "output", *REPRO)
        time.sleep(float(generator.uniform(1, 12)))
        status = begun.send(signal.SIGKILL)
        assert status in (-signal.SIGKILL, 0) or "dvc.lock" in begun.said(), begun.said()
        wait_for_the_end_of_all(clone)
        (clone.path / ".dvc/tmp/rwlock").unlink(missing_ok=True)  # as the README says where it is cut short
    done = clone.run(*REPRO, check=False)
    if done.returncode != 0 and "dvc.lock" in done.stderr:
        clone.git("checkout", "dvc.lock")
        done = clone.run(*REPRO)
    assert done.returncode == 0, done.stderr
    assert clone.git("status", "--porcelain") == ""


@pytest.mark.drill
def test_many_runs_elsewhere(clone: Clone) -> None:
    """What stages/README.md tells to submit is run as SLURM runs a part of an array, which shares the cache."""
    told = commands((ROOT / "stages/README.md").read_text(encoding="utf-8"))
    (queued,) = [command for command in told if "--queue" in command]
    clone.run(*queued)
    assert len(re.findall("Queued", clone.run("dvc", "queue", "status").stdout)) == 4
    clone.run("dvc", "queue", "remove", "--all")
    (submitted,) = [command for command in told if command[0] == "sbatch"]
    before = clone.git("rev-parse", "HEAD").strip()
    clone.edit(lambda params: params["data"].update(root=str(clone.path / "data/raw/synthetic")))
    clone.commit()
    clone.environment["SLURM_ARRAY_TASK_ID"] = "3"
    try:
        said = clone.run("bash", "-c", submitted[submitted.index("--wrap") + 1]).stdout
    finally:
        del clone.environment["SLURM_ARRAY_TASK_ID"]
        clone.git("reset", "--quiet", "--hard", before)
    trained = set(re.findall(r"Running stage '(train\S+)'", said))
    assert len(trained) == 3 + 2 * len(TASKS)
    assert "Stage 'index@mq' is cached" in said or "Stage 'index@mq' didn't change" in said
    elsewhere = clone.path / "run-3"
    assert "seed: 3" in (elsewhere / "params.yaml").read_text()
    assert not (elsewhere / ".dvc/cache").exists()
    shutil.rmtree(elsewhere)


@pytest.mark.drill
def test_an_experiment_side_by_side(clone: Clone) -> None:
    """What stages/README.md says: set params, run, and DVC keeps the result as an experiment."""
    clone.edit(lambda params: params["tasks"]["mq"]["train"].update(lr=1e-5))
    assert ran(clone.run(*REPRO).stdout) >= ALWAYS | {"train_single@mq", "evaluate_single@mq", "compare"}
    for key in ("name", "email"):
        clone.git("config", f"user.{key}", "test")
    clone.run("dvc", "exp", "save", "--name", "slow")
    (shown,) = [one for one in json.loads(clone.run("dvc", "exp", "show", "--json").stdout) if one.get("experiments")]
    assert "slow" in [one["name"] for one in shown["experiments"]]
    changed = json.loads(clone.run("dvc", "params", "diff", "HEAD", "slow", "--json").stdout)
    (params,) = changed.values()
    assert {key: (one["old"], one["new"]) for key, one in params.items()} == {"tasks.mq.train.lr": (2e-3, 1e-5)}
    clone.run("dvc", "exp", "remove", "slow")
