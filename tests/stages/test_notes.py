"""Notes of code and params are remembered, and made anew when anything that they are made from changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import stages._inputs
import stages.fingerprint_code
from egopack.files import json_bytes, write_json_files

ROOT = Path(__file__).resolve().parents[2]
FILES = ["params.yaml", "CMakeLists.txt", "src/native/nms.cpp", "src/native/checks.h", "stages/index.py"]
FILES += ["src/egopack/nn/losses.py", "src/egopack/tasks/new.py", "stages/_jobs/plan.py"]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkout, as far as notes are made from it; a remembered note of it tells itself apart."""
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "CMakeLists.txt"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages._inputs, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_whatever_changes_is_noticed(name: str, copy: Path) -> None:
    before = stages._inputs.sources(Path("params.yaml"))
    assert stages._inputs.sources(Path("params.yaml")) == before
    with (copy / name).open("a") as file:
        file.write("\n")
    assert stages._inputs.sources(Path("params.yaml")) != before


def test_a_file_that_is_gone_is_noticed(copy: Path) -> None:
    before = stages._inputs.sources(Path("params.yaml"))
    (copy / "src/egopack/tasks/lta.py").unlink()
    assert stages._inputs.sources(Path("params.yaml")) != before


def test_remembered_for_the_same_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    memory, files = Path("data/scratch/notes.json"), stages._inputs.sources(Path("params.yaml"))
    memory.parent.mkdir(parents=True)
    remembered = {"compare": {"of": "the last run"}, "index/ar": {}}
    memory.write_bytes(json_bytes([["of others", {}], [files, remembered]]))
    Path("data/code").mkdir()
    Path("data/code/gone.json").touch()

    def noted() -> dict[str, object]:
        assert CliRunner().invoke(stages.fingerprint_code.main, []).exit_code == 0
        found = Path("data/code").rglob("*.json")
        return {
            path.relative_to("data/code").with_suffix("").as_posix(): json.loads(path.read_text()) for path in found
        }

    assert noted() == remembered
    for useless in (b"{", b"[]", b"[3]", json_bytes({"other": remembered}), json_bytes([["other", remembered]])):
        memory.write_bytes(useless)
        anew = noted()
        assert {"train_single/mq", "index/ar", "compare"} < set(anew)
        assert anew["compare"] != remembered["compare"]
    assert noted() == anew
    assert json.loads(memory.read_text()) == [["other", remembered], [files, anew]]
    memory.write_bytes(json_bytes([[str(number), remembered] for number in range(9)]))
    assert noted() == anew
    assert [of for of, _ in json.loads(memory.read_text())] == [*"2345678", files]


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    write_json_files(tmp_path, {"a": 1, "b/c": {"d": 2}})
    (tmp_path / "b/other.json").touch()
    (tmp_path / "a.json").write_text("1")  # the same value, other bytes
    before = (tmp_path / "b/c.json").stat().st_ino
    write_json_files(tmp_path, {"a": 1, "b/c": {"d": 2}})
    assert (tmp_path / "b/c.json").stat().st_ino == before
    assert (tmp_path / "a.json").read_bytes() == b"1\n"
    assert not (tmp_path / "b/other.json").exists()
