"""Stages run the code of their own checkout, whatever else is installed: an experiment in a copy runs the copy's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TELL = "import stages, egopack, egopack.files; print(egopack.__file__); print(egopack.files.__file__)"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with another package of the same name, as an installed one would be."""
    package = tmp_path / "installed" / "egopack"
    package.mkdir(parents=True)
    for name in ("__init__", "errors", "files"):
        (package / f"{name}.py").write_text("raise RuntimeError('the installed package')\n")
    return package.parent


def run(folder: Path, elsewhere: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(elsewhere)}
    program = [sys.executable, *arguments]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_an_installed_package_is_found_without_stages(elsewhere: Path) -> None:
    assert "the installed package" in run(elsewhere, elsewhere, "-c", "import egopack").stderr


def test_stages_import_their_own_checkout(elsewhere: Path) -> None:
    done = run(ROOT, elsewhere, "-c", TELL)
    assert done.stdout.split() == [str(ROOT / "src/egopack" / name) for name in ("__init__.py", "files.py")], (
        done.stderr
    )


def test_a_copy_imports_its_own_code(elsewhere: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in ("stages", "src/egopack"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = run(copy, elsewhere, "-c", TELL)
    assert done.stdout.split() == [str(copy / "src/egopack" / name) for name in ("__init__.py", "files.py")], (
        done.stderr
    )
    done = run(copy, elsewhere, "-m", "stages.predict", "nowhere", "nothing.npy", "--out", "out.json")
    assert done.stderr.startswith("Error: nowhere: not a whole checkpoint"), done.stderr
