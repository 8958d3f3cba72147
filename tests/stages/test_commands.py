"""Every stage is a thin command that explains itself and ends in one line when its input is wrong."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
STAGES = sorted(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


@pytest.mark.parametrize("name", STAGES)
def test_help_teaches(name: str) -> None:
    done = CliRunner().invoke(importlib.import_module(f"stages.{name}").main, ["--help"])
    assert done.exit_code == 0
    assert len(done.output) > 150


@pytest.mark.parametrize("name", STAGES)
def test_is_thin(name: str) -> None:
    assert len((ROOT / "stages" / f"{name}.py").read_text().splitlines()) <= 60


@pytest.mark.parametrize("name", STAGES)
def test_params_that_are_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"stages.{name}")
    arguments = ["ar" for one in module.main.params if isinstance(one, click.Argument)]
    done = CliRunner().invoke(module.main, arguments)
    assert done.exit_code == 1
    assert done.output == "Error: params.yaml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize("name", ["index", "train_single", "evaluate_single", "train_egopack", "evaluate_egopack"])
def test_task_that_there_is_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(importlib.import_module(f"stages.{name}").main, ["juggling"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: params.yaml: tasks.juggling: there is no src/egopack/tasks/juggling.py")
    assert done.output.count("\n") == 1


def test_pack_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(importlib.import_module("stages.fill_pack").main, ["everything"])
    assert done.exit_code == 1
    assert "packs: there is no 'everything'" in done.output


@pytest.mark.parametrize(
    ("error", "said"), [("KeyboardInterrupt", "\nAborted!\n"), ("ValueError('x')", "ValueError: x\n")]
)
def test_interrupted_before_it_runs(error: str, said: str) -> None:
    program = [sys.executable, "-c", f"import stages; raise {error}"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == (-signal.SIGINT if error == "KeyboardInterrupt" else 1)
    assert done.stderr.endswith(said)
    assert ("Traceback" in done.stderr) == (error != "KeyboardInterrupt")
