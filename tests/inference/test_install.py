"""What `pip install .` installs works anywhere; the checkout's own .venv gets the compiled module alone.

The compiled module itself is not built here: that takes minutes, and `make` has done it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.released import footage, released
from tests.support.workplace import ROOT

THREE_LINES = """
import egopack
model = egopack.load("model", device="cpu")
table = model.predict("kitchen.npy")
print(egopack.__file__, len(table))
"""


def build(folder: Path, **environment: str) -> Path:
    """A wheel of the checkout, without its compiled module."""
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder), "-C", "wheel.cmake=false"]
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), *options, "-C", f"build-dir={folder / 'build'}"]
    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    target = folder / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    subprocess.run([*command, str(build(folder))], check=True, capture_output=True, timeout=300)
    return target


def run(folder: Path, installed: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_lines_predict_outside_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    released(tmp_path / "model", "mq", "ar")
    np.save(tmp_path / "kitchen.npy", footage(60))
    where, count = run(tmp_path, installed, sys.executable, "-c", THREE_LINES).split()
    assert Path(where).is_relative_to(installed)
    assert int(count) > 0


def test_the_command_is_there(installed: Path, tmp_path: Path) -> None:
    released(tmp_path / "model", "ar")
    np.save(tmp_path / "kitchen.npy", footage(60))
    command = str(installed / "bin" / "egopack")
    assert "predict" in run(tmp_path, installed, sys.executable, command, "--help")
    told = run(tmp_path, installed, sys.executable, command, "predict", "model", "kitchen.npy", "--out", "out.json")
    assert told == "out.json: 4 predictions of 1 videos\n"


def test_the_package_is_typed_and_whole(installed: Path) -> None:
    sources = {path.relative_to(ROOT / "src") for path in (ROOT / "src" / "egopack").rglob("*.py")}
    assert sources <= {path.relative_to(installed) for path in installed.rglob("*.py")}
    assert (installed / "egopack" / "py.typed").is_file()


def test_the_checkouts_own_environment_gets_no_package(tmp_path: Path) -> None:
    names = zipfile.ZipFile(build(tmp_path, EGOPACK_NATIVE_ONLY="1")).namelist()
    assert not [name for name in names if name.startswith("egopack/")]
    assert "EGOPACK_NATIVE_ONLY=1" in (ROOT / "Makefile").read_text(encoding="utf-8")
