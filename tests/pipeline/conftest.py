"""A small clone of the repository, as it stands in the working tree, in which DVC itself runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.reduce import reduced

ROOT = Path(__file__).resolve().parents[2]
TASKS = ("ar", "mq")
IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@example.org"]


class Clone:
    """A git and DVC repository of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_TERMINAL_PROMPT": "0",
        }
        for name in ("EGO4D_ROOT", "DVC_ROOT", "PYTHONPATH"):
            self.environment.pop(name, None)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def git(self, *arguments: str) -> str:
        return self.run("git", *IDENTITY, *arguments).stdout

    def dvc(self, *arguments: str) -> list[str]:
        """Run a DVC command; the stages that it ran, in their order."""
        return re.findall(r"Running stage '(.+?)'", self.run("dvc", *arguments).stdout)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "state")

    def edit(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change params.yaml."""
        file = self.path / "params.yaml"
        params = yaml.safe_load(file.read_text())
        change(params)
        file.write_text(yaml.safe_dump(params, sort_keys=False))

    def restore(self) -> None:
        """Back to the last commit, outputs too."""
        self.git("reset", "--quiet", "--hard")
        self.git("clean", "--quiet", "--force", "-d")
        self.run("dvc", "checkout", "--quiet", "--force")


def smaller(params: dict[str, Any]) -> None:
    """Two tasks are enough to tell what depends on what."""
    reduced(params)
    params["tasks"] = {name: block for name, block in params["tasks"].items() if name in TASKS}
    packs = {"all": list(TASKS)} | {f"without_{name}": [other for other in TASKS if other != name] for name in TASKS}
    params["packs"] = packs


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share the reproduced clone run in one process, however many there are."""
    for item in items:
        if {"clone", "reproduced"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("clone"))


@pytest.fixture(scope="package")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A reduced clone in which `dvc repro` ran from nothing, its results committed."""
    clone = copy_of_the_project(tmp_path_factory.mktemp("pipeline") / "clone")
    clone.edit(smaller)
    clone.commit()
    ran = clone.dvc("repro")
    assert len(ran) == len(clone.run("dvc", "stage", "list", "--name-only").stdout.split())
    clone.commit()
    return clone


@pytest.fixture
def clone(reproduced: Clone) -> Iterator[Clone]:
    """The reproduced clone, put back afterwards."""
    yield reproduced
    reproduced.restore()
