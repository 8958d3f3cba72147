from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from egopack import checksums
from egopack.checksums import Checksums
from tests.support.full_disk import full_disk


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read, as they are."""
    names: list[str] = []

    def noting(path: Path) -> str:
        names.append(Path(path).name)
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()

    monkeypatch.setattr(checksums, "sha256", noting)
    return names


def age(path: Path, seconds: float) -> None:
    """Let the file be of the past; its time of change cannot be set."""
    now = path.stat().st_mtime - seconds
    os.utime(path, (now, now))


def test_a_file_is_read_once(tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "SETTLED_NS", 0)
    note, path = tmp_path / "notes" / "n.json", tmp_path / "a"
    path.write_bytes(b"one")
    for _ in range(2):
        with Checksums(note) as known:
            assert known.of(path) == hashlib.sha256(b"one").hexdigest()
    assert read == ["a"]
    with Checksums(note, again=True) as known:
        known.of(path)
    assert read == ["a", "a"]
    with path.open("r+b") as file:  # the same inode and size
        file.write(b"two")
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 5))
    with Checksums(note) as known:
        assert known.of(path) == hashlib.sha256(b"two").hexdigest()
    path.rename(tmp_path / "b")
    with Checksums(note) as known:
        known.of(tmp_path / "b")
    assert read == ["a", "a", "a", "b"]
    assert list(json.loads(note.read_text())) == [str(tmp_path / "b")]


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path, read: list[str]) -> None:
    """It may change again at the same time of the clock."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    age(path, 100)
    for _ in range(2):
        with Checksums(tmp_path / "n.json") as known:
            known.of(path)
    assert read == ["a", "a"]


def test_a_content_that_size_and_times_do_not_tell_is_found_when_read_again(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "SETTLED_NS", 0)
    monkeypatch.setattr(checksums, "_mark", lambda path: [3, 1, 1, 1])
    note, path = tmp_path / "n.json", tmp_path / "a"
    path.write_bytes(b"one")
    with Checksums(note) as known:
        before = known.of(path)
    path.write_bytes(b"two")
    with Checksums(note) as known:
        assert known.of(path) == before
    with Checksums(note, again=True) as known:
        now = known.of(path)
    assert now == hashlib.sha256(b"two").hexdigest()
    with Checksums(note) as known:
        assert known.of(path) == now


@pytest.mark.parametrize("content", ["", "[]", '{"/a": 3}', "[" * 100_000, "null"])
def test_a_note_that_is_damaged_is_made_again(content: str, tmp_path: Path) -> None:
    note, path = tmp_path / "n.json", tmp_path / "a"
    path.write_bytes(b"one")
    note.write_text(content.replace("/a", str(path)))
    with Checksums(note) as known:
        assert known.of(path) == hashlib.sha256(b"one").hexdigest()


def test_names_that_are_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "SETTLED_NS", 0)
    path = os.fsencode(tmp_path) + b"/\xff\n.pt"
    Path(os.fsdecode(path)).write_bytes(b"one")
    with Checksums(tmp_path / "n.json") as known:
        assert known.of(os.fsdecode(path)) == hashlib.sha256(b"one").hexdigest()
    assert not (tmp_path / "n.json").exists()


def test_a_note_that_cannot_be_written_hides_no_error(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "SETTLED_NS", 0)
    path = tmp_path / "a"
    path.write_bytes(b"one")
    with full_disk(10), pytest.raises(FileNotFoundError), Checksums(tmp_path / "n.json") as known:
        [known.of(path), known.of(tmp_path / "gone")]
    with full_disk(10), pytest.raises(OSError, match="too large"), Checksums(tmp_path / "n.json") as known:
        known.of(path)
    assert read == ["a", "a"]
