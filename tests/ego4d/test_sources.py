"""A source of annotations is one module that declares its files, its reader and how its items are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.ego4d.annotations import Annotations
from egopack.ego4d.manifest import fingerprint
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources import table
from egopack.ego4d.sources.source import Source, split_files


def read_lines(annotations: Annotations, path: Path, skips: Skips) -> list[str]:
    """A reader of a toy format: an empty line is spoilt."""
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        if not line:
            skips.add("empty line", f"{path.name}: line {number}")
    return [line for line in lines if line]


NOTES = Source(
    "notes",
    split_files("notes"),
    optional=("notes.tsv",),
    read=read_lines,
    found=lambda annotations, split: {"notes": len(annotations.records(NOTES, split, Skips()))},
)


def test_a_new_source_is_one_declaration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.SOURCES, "notes", NOTES)
    folder = tmp_path / "annotations" / "v1"
    folder.mkdir(parents=True)
    for split in ("train", "val", "test_unannotated"):
        (folder / f"notes_{split}.json").write_text(f"{split}\n\nlast\n")
    annotations, skips = Annotations(tmp_path, "v1"), Skips()
    for _ in range(2):  # read once, what is skipped counts each time
        assert annotations.records(NOTES, "val", skips) == ["val", "last"]
    assert skips.to_dict() == {"empty line": {"count": 2, "examples": ["notes_val.json: line 2"] * 2}}
    assert annotations.found("notes", "train") == {"notes": 2}
    (tmp_path / "annotations" / "notes.tsv").touch()
    files = fingerprint(tmp_path, "v1", [], ["notes"])["notes"]["files"]
    assert set(files) == {*split_files("notes"), "notes.tsv"}


def test_names_are_those_of_the_table() -> None:
    assert list(table.SOURCES) == [source.name for source in table.ALL]
    assert len(table.SOURCES) == len(table.ALL)
    assert Annotations(Path("nowhere"), "v1").found("nothing", "train") == {}
