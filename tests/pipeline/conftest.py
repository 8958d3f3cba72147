"""A small clone of the repository, as it stands in the working tree, in which DVC itself runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from egopack.files import PARTIAL
from stages._jobs.server import Server
from tests.support.forked import Forks
from tests.support.reduce import reduced

ROOT = Path(__file__).resolve().parents[2]
TASKS = ("ar", "mq")
IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@example.org"]


def edit_params(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = folder / "params.yaml"
    params = yaml.safe_load(file.read_text())
    change(params)
    file.write_text(yaml.safe_dump(params, sort_keys=False))


def ran(said: str) -> list[str]:
    """The stages that DVC said it ran, in their order."""
    return re.findall(r"Running stage '(.+?)'", said)


class Clone:
    """A git and DVC repository of its own."""

    first = ""  # what the first run said
    server: Server | None = None  # what stages of the committed code are forked from

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_TERMINAL_PROMPT": "0",
        }
        for name in ("EGO4D_ROOT", "DVC_ROOT", "PYTHONPATH", "PYTHONUNBUFFERED"):
            self.environment.pop(name, None)

    def run(
        self, *command: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.path,
            env=environment or self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def git(self, *arguments: str) -> str:
        return self.run("git", *IDENTITY, *arguments).stdout

    def dvc(self, *arguments: str) -> list[str]:
        """Run a DVC command; the stages that it ran, in their order."""
        return ran(self.run("dvc", *arguments).stdout)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "state")

    def edit(self, change: Callable[[dict[str, Any]], Any]) -> None:
        edit_params(self.path, change)

    def repro(self, *targets: str) -> set[str]:
        """What `dvc repro` does, in forked stages, which is faster; the stages that ran. Those of edited code are
        forked by the scheduler.
        """
        if self.server is None or self.git("status", "--porcelain", "--", "src", "stages"):
            said = self.run("python", "-m", "stages.repro", "--jobs", "1", *targets).stdout
            return set(re.findall(r"^ *[\d.]+  (\S+) +ran, ", said, re.MULTILINE))
        self.server.start()
        while not (self.server.folder / "forks").exists():  # what it imports is not to be edited meanwhile
            assert self.server.process is None or self.server.process.poll() is None, self.server.log.read_text()
            time.sleep(0.05)
        path = f"{self.server.folder}:{self.environment['PATH']}"
        environment = self.environment | self.server.environment | {"PATH": path}
        return set(ran(self.run("dvc", "repro", *targets, environment=environment).stdout))

    def from_nothing(self, path: Path) -> Clone:
        """A clone of the last commit without its results, its lock among them."""
        self.git("clone", "--quiet", ".", str(path))
        for name in ("metrics", "data"):
            shutil.rmtree(path / name)
        (path / "dvc.lock").unlink()
        return Clone(path)

    def restore_files(self) -> None:
        """Back to the last commit, but for outputs."""
        self.git("reset", "--quiet", "--hard")
        self.git("clean", "--quiet", "--force", "-d")

    def restore(self) -> None:
        """Back to the last commit, outputs too."""
        self.restore_files()
        self.run("dvc", "checkout", "--quiet", "--force")


class Floor:
    """A folder with the outputs of all stages, in which single stages run again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages = yaml.safe_load((path / "dvc.yaml").read_text())["stages"]
        self.keep()

    def keep(self) -> None:
        """What is here now is what `restore` brings back."""
        self.params, self.whole = (self.path / "params.yaml").read_bytes(), self.content()

    def restore(self) -> None:
        """Undo what a test left behind that failed half way."""
        (self.path / "params.yaml").write_bytes(self.params)
        shutil.rmtree(self.path / "data/scratch", ignore_errors=True)
        found = self.content()
        for name in found.keys() - self.whole.keys():
            path = self.path / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for name in self.whole.keys() - found.keys() | {name for name in found if found[name] != self.whole.get(name)}:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(self.whole[name])

    def content(self) -> dict[str, bytes]:
        """Every file by its name, but for states of trainings; what was not finished too."""
        names = [path for top in ("data", "metrics") for path in (self.path / top).rglob("*")]
        kept = [path for path in names if path.is_file() or PARTIAL in path.name]
        content = {
            path.relative_to(self.path).as_posix(): path.read_bytes() if path.is_file() else b"" for path in kept
        }
        return {name: value for name, value in content.items() if not name.startswith("data/scratch/")}

    def edit(self, change: Callable[[dict[str, Any]], Any]) -> None:
        edit_params(self.path, change)

    def outputs(self, stage: str) -> dict[str, bool]:
        """Paths that a stage ("index ar") writes, each with whether it persists."""
        name, *key = stage.split()
        block = self.stages[name]
        block = block.get("do", block)
        listed = [out for kind in ("outs", "metrics", "plots") for out in block.get(kind, [])]
        outs = [out if isinstance(out, dict) else {out: {}} for out in listed]
        pairs = [pair for out in outs for pair in out.items()]
        return {path.replace("${key}", "".join(key)): options.get("persist", False) for path, options in pairs}

    def clear(self, stage: str, *, persistent: bool = False) -> None:
        """Take a stage's outputs away, as DVC does before it runs; those that persist only if asked to."""
        for name, persists in self.outputs(stage).items():
            path = self.path / name
            if path.is_dir() and (persistent or not persists):
                shutil.rmtree(path)
            elif not path.is_dir():
                path.unlink(missing_ok=True)


def smaller(params: dict[str, Any]) -> None:
    """Two tasks are enough to tell what depends on what."""
    reduced(params)
    params["tasks"] = {name: block for name, block in params["tasks"].items() if name in TASKS}
    packs = {"all": list(TASKS)} | {f"without_{name}": [other for other in TASKS if other != name] for name in TASKS}
    params["packs"], params["helped_by"] = packs, {name: f"without_{name}" for name in TASKS}


def copy_of_the_project(path: Path) -> Clone:
    """A git repository of the files of the working tree, without tests and results."""
    clone = Clone(path)
    clone.path.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "metrics/", "data/", "dvc.lock")):
            (clone.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone.path / name)
    clone.git("init", "--quiet", "--initial-branch", "main")
    return clone


@pytest.fixture(scope="package")
def reproduced(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Clone]:
    """A reduced clone in which all stages ran from nothing, two at once, its results committed; each worker has a copy
    of what the first of them made.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    with FileLock(shared / "pipeline.lock"):
        if not (shared / "pipeline.txt").exists():
            shutil.rmtree(shared / "pipeline", ignore_errors=True)
            said = run_from_nothing(copy_of_the_project(shared / "pipeline"))
            (shared / "pipeline.txt").write_text(said)
    clone = Clone(tmp_path_factory.mktemp("pipeline") / "clone")
    shutil.copytree(shared / "pipeline", clone.path, symlinks=True)
    clone.first = (shared / "pipeline.txt").read_text()
    clone.server = Server(1, clone.path / ".git/forks.log", clone.path)
    yield clone
    clone.server.close()


def run_from_nothing(clone: Clone) -> str:
    """Run all stages of a reduced pipeline and commit what comes out; what was said."""
    clone.edit(smaller)
    clone.commit()
    said = clone.run("python", "-m", "stages.repro", "--jobs", "2").stdout
    shutil.copytree(clone.path / "data/jobs", clone.path / "first")  # of that run, whatever runs later
    (clone.path / ".git/info/exclude").write_text("first\n")
    clone.commit()
    return said


@pytest.fixture
def clone(reproduced: Clone) -> Iterator[Clone]:
    """The reproduced clone, put back afterwards."""
    yield reproduced
    reproduced.restore()


@pytest.fixture
def files(reproduced: Clone) -> Iterator[Clone]:
    """The reproduced clone, for tests that run no stage with outputs of its own."""
    yield reproduced
    reproduced.restore_files()


@pytest.fixture(scope="session")
def forks() -> Forks:
    """Runs stages without DVC, in processes that can be killed."""
    return Forks()


@pytest.fixture(scope="package")
def built(reproduced: Clone, forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Floor:
    """What the reduced pipeline wrote, without DVC; in two shards, and with more steps of one training."""
    path = tmp_path_factory.mktemp("floor") / "copy"
    shutil.copytree(reproduced.path, path, ignore=shutil.ignore_patterns(".git", ".dvc", "scratch"))
    floor = Floor(path)
    floor.edit(lambda params: params["data"].update(shard_mb=1))
    floor.edit(lambda params: params["tasks"]["ar"]["train"].update(epochs=12))
    floor.edit(lambda params: params["runtime"].update(save_every=1))
    for stage, *arguments in (["shard"], ["train_single", "ar"], ["evaluate_single", "ar"], ["compare"]):
        done = forks.run(path, stage, *arguments)
        assert done.status == 0, done.output
    floor.keep()
    return floor


@pytest.fixture
def floor(built: Floor) -> Iterator[Floor]:
    """The outputs of all stages, put back afterwards."""
    yield built
    built.restore()
