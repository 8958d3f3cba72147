from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from egopack.files import PARTIAL, atomic_folder, atomic_path, write_json
from tests.support.full_disk import full_disk

SOURCE = Path(__file__).parents[1] / "src"


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def fail_half_way(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("ha")
        raise RuntimeError("half way")


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_path(path) as one, atomic_path(path) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"  # the outer block ends last


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "deep" / "f") as temporary:
        (temporary / "a.txt").write_text("a")
        assert not (tmp_path / "deep" / "f").exists()
    assert (tmp_path / "deep" / "f" / "a.txt").read_text() == "a"
    assert stat.S_IMODE((tmp_path / "deep" / "f").stat().st_mode) == 0o755
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "deep" / "g") as temporary:
        (temporary / "lacking" / "b.txt").touch()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["f"]


def test_what_killed_writers_left_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import os, signal; from egopack.files import atomic_folder, atomic_path\n"
        "with atomic_path('a.txt') as one, atomic_folder('f') as two, atomic_path('b.txt') as three:\n"
        "    (two / 'x').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(SOURCE)})
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(f"{PARTIAL}*"))) == 3
    with atomic_path(tmp_path / "a.txt"), atomic_path(tmp_path / "a.txt"):  # a writer that runs keeps what it has
        assert len(list(tmp_path.glob(f"{PARTIAL}*.a.txt"))) == 2
    with atomic_folder(tmp_path / "f"):
        pass
    (left,) = tmp_path.glob(f"{PARTIAL}*")
    assert left.name.endswith(".b.txt")


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large") as caught, full_disk(3):
        write_json(tmp_path / "a.json", "long")
    assert caught.value.filename == str(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_json_bytes_depend_on_the_value_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5, None], "a": {"y": "é", "x": True}})
    write_json(tmp_path / "b.json", {"a": {"x": True, "y": "é"}, "b": [1, 2.5, None]})
    content = (tmp_path / "a.json").read_bytes()
    assert content == (tmp_path / "b.json").read_bytes()
    assert content.endswith(b"}\n")
    assert "é".encode() in content
    assert json.loads(content) == {"a": {"x": True, "y": "é"}, "b": [1, 2.5, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": object()}])
def test_what_json_cannot_hold_leaves_no_file(value: object, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", value)
    assert not list(tmp_path.iterdir())


def test_json_does_not_depend_on_the_locale(tmp_path: Path) -> None:
    program = "from egopack.files import write_json; write_json('a.json', 'é')"
    options = ["-X", "utf8=0", "-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = [sys.executable, *options, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.json").read_bytes() == '"é"\n'.encode()


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bytes, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.pread(handle, 99, 0), (tmp_path / "a").exists())))
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_bytes(b"content")
    assert synced == [(b"content", False)]
