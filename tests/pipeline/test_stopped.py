"""`dvc repro` that is killed, interrupted, started twice or forced: the next one ends as if nothing had happened."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from egopack.files import PARTIAL
from tests.pipeline.conftest import ROOT, Clone
from tests.pipeline.test_repro import ALWAYS

pytestmark = pytest.mark.drill


class Begun:
    """A command in a session of its own, its output in a file."""

    def __init__(self, clone: Clone, output: Path, *command: str) -> None:
        self.output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                cwd=clone.path,
                env=clone.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def until(self, text: str) -> None:
        """Wait until it says so."""
        limit = time.monotonic() + 120
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < limit, self.said()
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> int:
        """Signal it and all that it started, as a terminal does; its exit status."""
        os.killpg(self.process.pid, number)
        return self.process.wait()


def begin(clone: Clone, output: Path, stage: str) -> Begun:
    """Run a stage anew, whatever is in the cache; returns when it has begun."""
    shutil.rmtree(clone.path / ".dvc" / "cache" / "runs", ignore_errors=True)
    begun = Begun(clone, output, "dvc", "repro", "--force", "--single-item", stage)
    begun.until("Running stage")
    return begun


def remedies() -> dict[str, list[str]]:
    """What stages/README.md tells to do, by the file that DVC complains of: it does not write them atomically."""
    lines = (ROOT / "stages/README.md").read_text(encoding="utf-8").splitlines()
    commands = [
        line.split("#")[0].split() for line in lines if re.match(r"(rm|git checkout) \S*(rwlock|dvc\.lock)", line)
    ]
    assert len(commands) == 2
    return {command[-1]: command for command in commands}


def check_as_if_nothing_had_happened(clone: Clone) -> None:
    """`dvc repro` goes on, or names the file that a human must mend; dvc.lock, metrics and manifest come out as they
    were committed.
    """
    done = clone.run("dvc", "repro", check=False)
    for name, command in remedies().items():
        if done.returncode != 0 and name in done.stderr:
            clone.run(*command)
            done = clone.run("dvc", "repro", check=False)
    assert done.returncode == 0, done.stderr
    assert clone.git("status", "--porcelain") == ""
    for name in ("data", "metrics"):
        assert not [path for path in (clone.path / name).rglob(f"{PARTIAL}*") if "scratch" not in path.parts]


@pytest.mark.parametrize("stage", ["shard", "train_single@ar", "evaluate_multi@all"])
def test_killed(stage: str, clone: Clone, tmp_path: Path, chance: np.random.Generator) -> None:
    begun = begin(clone, tmp_path / "output", stage)
    time.sleep(float(chance.uniform(0, 3)))
    assert begun.send(signal.SIGKILL) in (-signal.SIGKILL, 0)
    check_as_if_nothing_had_happened(clone)


@pytest.mark.parametrize("stage", ["shard", "train_single@ar"])
def test_interrupted_by_the_keyboard(stage: str, clone: Clone, tmp_path: Path, chance: np.random.Generator) -> None:
    begun = begin(clone, tmp_path / "output", stage)
    time.sleep(float(chance.uniform(0.5, 3)))
    status, said = begun.send(signal.SIGINT), begun.said()
    assert f'File "{clone.path}' not in said  # a traceback of ours
    assert status != 0 or "Aborted" not in said
    check_as_if_nothing_had_happened(clone)


def test_two_at_once(clone: Clone, tmp_path: Path) -> None:
    one = begin(clone, tmp_path / "one", "train_single@ar")
    two = Begun(clone, tmp_path / "two", "dvc", "repro")
    assert one.process.wait() == 0, one.said()
    if two.process.wait() != 0:
        assert "is busy, it is being blocked by" in two.said() or "Unable to acquire lock" in two.said()
        assert "Traceback" not in two.said()
    check_as_if_nothing_had_happened(clone)


def test_what_is_unfinished_changes_nothing(clone: Clone) -> None:
    for folder in ("data/packs", "data/samples/ar", "metrics/single", "metrics/curves/single"):
        (clone.path / folder / f"{PARTIAL}1-abc.ar.json").touch()
    assert set(clone.dvc("repro")) == ALWAYS
    assert clone.git("status", "--porcelain") == ""
    for path in clone.path.rglob(f"{PARTIAL}*"):
        path.unlink()


def test_what_a_human_must_do_is_in_the_readme(clone: Clone) -> None:
    for name, command in remedies().items():
        (clone.path / name).write_text("{'")
        done = clone.run("dvc", "repro", check=False)
        assert done.returncode != 0
        assert name in done.stderr
        clone.run(*command)
    assert set(clone.dvc("repro")) == ALWAYS
    assert clone.git("status", "--porcelain") == ""


def test_forced_anew_nothing_changes(clone: Clone) -> None:
    """A stage of each kind; a fresh clone, in test_repro, runs all of them."""
    names = [
        "synthesize",
        "shard",
        "index@mq",
        "train_single@ar",
        "build_prototypes@all",
        "evaluate_multi@all",
        "compare",
    ]
    assert clone.dvc("repro", "--force", "--single-item", *names) == names
    assert clone.git("status", "--porcelain") == ""
