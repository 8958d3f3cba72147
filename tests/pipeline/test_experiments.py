"""Experiments run in copies of the repository: the code and params they were queued with, the data of the original."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.pipeline.conftest import Clone

pytestmark = pytest.mark.drill

PATIENCE_S = 240.0
ARROW = "src/egopack/evaluation/comparison.py"  # whose constant of this name comparison.md shows
CURVE = "metrics/curves/single/ar.csv"
SHARDS = "metrics/shards.json"
EPOCHS = 60  # enough to be stopped after a state is saved and before the end


class Queue:
    """The queue of a clone's experiments, and the workers that run them in the background."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.most_at_once = 0

    def put(self, name: str, *arguments: str) -> None:
        self.clone.run("dvc", "exp", "run", "--queue", "--name", name, *arguments)

    def run(self, jobs: int) -> None:
        """Run all that is queued, so many at once, and see every one succeed."""
        subprocess.run(  # the workers keep its output open, so it cannot be read to its end
            ["dvc", "queue", "start", "--jobs", str(jobs)],
            cwd=self.clone.path,
            env=self.clone.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        until = time.monotonic() + PATIENCE_S
        states = self.states()
        while {"Queued", "Running"} & set(states.values()) and time.monotonic() < until:
            self.most_at_once = max(self.most_at_once, list(states.values()).count("Running"))
            time.sleep(3)
            states = self.states()
        logs = [self.clone.run("dvc", "queue", "logs", name, check=False).stdout for name in states]
        assert set(states.values()) == {"Success"}, "\n".join([str(states), *logs])

    def states(self) -> dict[str, str]:
        """State of each experiment by its name."""
        shown = self.clone.run("dvc", "queue", "status").stdout
        return dict(re.findall(r"^[0-9a-f]{7}\s+(\S+)\s.*\s(Queued|Running|Failed|Success)\s*$", shown, re.MULTILINE))

    def processes(self) -> list[psutil.Process]:
        """What runs in the clone or in an experiment's copy of it."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.clone.path):
                    found.append(process)
            except psutil.Error:
                continue  # it has ended, or is another user's
        return found

    def stop(self) -> None:
        """Stop the workers and see them gone."""
        self.clone.run("dvc", "queue", "stop", "--kill")
        _, alive = psutil.wait_procs(self.processes(), timeout=60)
        for process in alive:
            process.kill()
        assert not alive


@pytest.fixture
def queue(clone: Clone) -> Iterator[Queue]:
    queue = Queue(clone)
    yield queue
    queue.stop()


def result(clone: Clone, name: str, file: str) -> str:
    """A file as an experiment left it."""
    (ref,) = clone.git("for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").split()
    return clone.git("show", f"{ref}:{file}")


def cached(clone: Clone, name: str, file: str) -> str:
    """A file that DVC keeps, as an experiment left it."""
    stages = yaml.safe_load(result(clone, name, "dvc.lock"))["stages"]
    (md5,) = [out["md5"] for stage in stages.values() for out in stage.get("outs", []) if out["path"] == file]
    return (clone.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).read_text(encoding="utf-8")


def mark(clone: Clone, arrow: str) -> None:
    """Change a constant of the code that nothing but `compare` depends on."""
    file = clone.path / ARROW
    file.write_text(re.sub('"max": ".*?"', f'"max": "{arrow}"', file.read_text()))


def test_two_at_once_run_what_they_were_queued_with(queue: Queue) -> None:
    clone, rates = queue.clone, {"one": 3e-3, "two": 5e-3}
    for name, rate in rates.items():
        mark(clone, name)
        queue.put(name, "--set-param", f"tasks.ar.train.lr={rate}")
    (clone.path / ARROW).write_text("raise RuntimeError('this is not what was queued')\n")
    clone.edit(lambda params: params["tasks"]["ar"]["train"].update(lr=7e-3))
    queue.run(jobs=2)
    assert queue.most_at_once == 2
    for name, rate in rates.items():
        assert f"lr: {rate}" in result(clone, name, "params.yaml")
        assert f"| AR verb_top1 {name} |" in cached(clone, name, "data/comparison.md")
        assert f'"max": "{name}"' in result(clone, name, ARROW)
    clone.edit(lambda params: params["tasks"]["ar"]["train"].update(lr=rates["two"]))
    clone.run("python", "-m", "stages.train_single", "ar")
    alone = (clone.path / CURVE).read_text()
    assert result(clone, "two", CURVE) == alone
    assert result(clone, "one", CURVE) != alone


def another_root(clone: Clone, folder: Path) -> str:
    """The raw data with one more file, outside of the repository; as a relative path."""
    shutil.copytree(clone.path / "data/raw/synthetic", folder)
    some = next((folder / "features/egovlp").iterdir())
    shutil.copy(some, some.with_name(f"another{some.suffix}"))
    return os.path.relpath(folder, clone.path)


def manifest(clone: Clone, name: str) -> set[str]:
    return {Path(file).stem for file in json.loads(result(clone, name, "data/manifest/features/egovlp.json"))["files"]}


def test_a_relative_root_outside_of_the_repository(clone: Clone, tmp_path: Path) -> None:
    root = another_root(clone, tmp_path / "ego4d")
    clone.edit(lambda params: params["data"].update(root=root))
    clone.run("dvc", "exp", "run", "--temp", "--name", "temporary", "shard")
    assert "another" in manifest(clone, "temporary")
    before, after = (clone.path / SHARDS).read_text(), result(clone, "temporary", SHARDS)
    found = [json.loads(text)["files"]["egovlp"]["found"] for text in (before, after)]
    assert found[1] == found[0] + 1


def test_a_relative_root_in_the_environment_of_the_queue(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(queue.clone.environment, "EGO4D_ROOT", another_root(queue.clone, tmp_path / "ego4d"))
    queue.put("queued", "fingerprint")
    queue.run(jobs=1)
    assert "another" in manifest(queue.clone, "queued")


def test_a_training_that_was_stopped_goes_on(clone: Clone) -> None:
    setting = f"tasks.ar.train.epochs={EPOCHS}"
    command = ["dvc", "exp", "run", "--temp", "--name", "stopped", "--set-param", setting, "train_single@ar"]
    states, until = clone.path / "data/scratch", time.monotonic() + PATIENCE_S
    with subprocess.Popen(
        command,
        cwd=clone.path,
        env=clone.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as first:
        while first.poll() is None and not list(states.glob("*/state.safetensors")) and time.monotonic() < until:
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGINT)
        said, _ = first.communicate()
    assert first.returncode != 0, said
    assert re.search(r"single/ar: resumes after step \d+ of a run that was stopped", clone.run(*command).stdout)
    assert not list(states.glob("*/state.safetensors"))
    clone.edit(lambda params: params["tasks"]["ar"]["train"].update(epochs=EPOCHS))
    assert "resumes" not in clone.run("python", "-m", "stages.train_single", "ar").stdout
    assert result(clone, "stopped", CURVE) == (clone.path / CURVE).read_text()
