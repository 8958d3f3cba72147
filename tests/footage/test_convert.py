"""Exports of ELAN, Label Studio and VIA, converted and read as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from pympi.Elan import Eaf

from egopack.footage.table import read_table
from stages.convert import main
from tests.support.exports import ROWS, region, studio_task, via_project, write_elan, write_studio, write_via

TRACKS = ("verb", "noun")


def run(*arguments: Path | str) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def converted(folder: Path, *arguments: Path | str) -> tuple[pd.DataFrame, list[str]]:
    """The table as `data.source: table` reads it, and the lines that the command said."""
    done = run(*arguments, "--out", folder / "segments.csv")
    assert done.exit_code == 0, done.output
    return read_table(folder / "segments.csv").segments, done.output.splitlines()


def listed(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in table[["video", "start", "end", *TRACKS]].astype(object).to_numpy()]


# --- what comes of them
def test_elan_files_of_a_folder(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    write_elan(exports, "kitchen")
    write_elan(exports, "yard")
    table, said = converted(tmp_path, exports)
    assert listed(table) == ROWS
    assert said[:2] == [
        f"{exports}/kitchen labels.eaf: 2 segments; nothing left out",
        f"{exports}/yard labels.eaf: 1 segments; nothing left out",
    ]
    assert said[2].startswith(f"{tmp_path}/segments.csv: 3 segments of 2 videos; ")


def test_label_studio(tmp_path: Path) -> None:
    table, said = converted(tmp_path, write_studio(tmp_path))
    assert listed(table) == ROWS
    assert said[0].endswith("project.json: 3 segments; nothing left out")


def test_via(tmp_path: Path) -> None:
    table, said = converted(tmp_path, write_via(tmp_path))
    assert listed(table) == ROWS
    assert said[0].endswith("via.json: 3 segments; nothing left out")


def test_timeline_labels_are_frames_that_count_from_1(tmp_path: Path) -> None:
    results = [region(1, "tricks", ranges=[{"start": 1, "end": 50}], timelinelabels=["jump"])]
    path = tmp_path / "x.json"
    path.write_text(json.dumps([studio_task("yard", results)]))
    table, _ = converted(tmp_path, path, "--fps", "25")
    assert table[["start", "end", "label"]].to_numpy().tolist() == [[0.0, 2.0, "jump"]]
    assert "[0].annotations[0].result[0].value.ranges are frames; give the rate of the videos, as --fps 25" in run(
        path, "--out", tmp_path / "no.csv"
    ).output.replace("\n", "")
    box = region(2, "box", framesCount=500, duration=10.0, sequence=[{"frame": 1}], labels=["hand"])
    path.write_text(json.dumps([studio_task("yard", [*results, box])]))
    table, said = converted(tmp_path, path)  # the box tells the rate: 50
    assert table["end"].tolist() == [1.0]
    assert "1 boxes, which say where and not what happens when (box of yard.mp4)" in said[0]
    path.write_text(json.dumps([{"video": "/x/yard.mp4", "id": 4, "tricks": [results[0]["value"]]}]))  # JSON-MIN
    table, _ = converted(tmp_path, path, "--fps", "25")
    assert table[["video", "end", "label"]].to_numpy().tolist() == [["yard", 2.0, "jump"]]


def test_of_several_annotations_the_ground_truth_counts(tmp_path: Path) -> None:
    def annotation(label: str, **others: bool) -> dict[str, Any]:
        return {"result": [region(1, "label", start=1, end=2, labels=[label])]} | others

    several = [annotation("a"), annotation("b", ground_truth=True), annotation("c", was_cancelled=True)]
    path = tmp_path / "x.json"
    path.write_text(
        json.dumps([studio_task("v", [], annotations=several), studio_task("w", [], annotations=[], predictions=[{}])])
    )
    table, said = converted(tmp_path, path)
    assert table["label"].tolist() == ["b"]
    for reason in (
        "1 annotations of a video that has one already (v.mp4)",
        "1 annotations that were skipped (v.mp4)",
        "1 predictions of a model (w.mp4)",
    ):
        assert reason in said[0]


def test_tracks_become_the_columns_that_are_named(tmp_path: Path) -> None:
    eaf = Eaf()
    for tier, value in (("what", "cut\n the  bread"), ("who", "me"), ("default", " ")):
        eaf.add_tier(tier)
        eaf.add_annotation(tier, 0, 1500, value)
    eaf.add_annotation("what", 1500, 2000, "=1+1")
    eaf.to_file(str(tmp_path / "a.eaf"))
    table, said = converted(tmp_path, tmp_path / "a.eaf", "--column", "what=verb")
    assert table[["video", "end", "verb"]].to_numpy().tolist() == [["a", 1.5, "cut the bread"]]
    assert said[0] == (
        f"{tmp_path}/a.eaf: 1 segments; left out 1 of tracks that are no column (who; --column 'who=label' would take "
        "them), 1 with a formula or control characters for a name (what at 1.5 s of a), 1 without a name (default at 0 "
        "s of a)"
    )
    table, _ = converted(tmp_path, tmp_path / "a.eaf")  # no column has the name of a track: all are labels
    assert table["label"].tolist() == ["cut the bread", "me"]


def test_annotations_without_times_are_counted(tmp_path: Path) -> None:
    path = write_elan(tmp_path, "kitchen")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(' TIME_VALUE="3250"', ""), encoding="utf-8")
    table, said = converted(tmp_path, path)
    assert listed(table) == ROWS[:1]
    assert "2 without times (verb: 'open')" in said[0]
    project = via_project()
    project["metadata"]["1_1"]["z"] = [2.0]
    project["metadata"]["2_2"]["z"] = [4.0, 1.0]
    table, said = converted(tmp_path, write_via(tmp_path, project))
    assert listed(table) == ROWS[:1]
    assert "1 regions of one frame, which say where and not what happens when (1_1 of kitchen.mp4)" in said[0]
    assert "1 whose times are no stretch of a video (verb at 4 s of yard)" in said[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.eaf", "<ANNOTATION_DOCUMENT", "not a whole .eaf file (Exception: Unable to parse eaf"),
        ("x.eaf", "<a/>", "not a whole .eaf file (KeyError"),
        ("x.json", "[{", "not whole JSON at line 1"),
        ("x.json", "{}", "expected ELAN's .eaf, an export of Label Studio or a project of VIA 3"),
        ("x.json", '{"database": {}}', "put data.source: activitynet into params.yaml"),
        ("x.json", "[3]", "[0] is 3, expected an object"),
        ("x.json", '[{"data": {}, "annotations": []}]', "[0].data names no video"),
        ("x.json", "[]", "no segment with a name, so there is nothing to write"),
        ("x.json", '[{"data": {"video": "a.mp4"}, "annotations": [{"result": 1}]}]', "annotations[0].result is 1"),
        ("x.json", json.dumps(via_project() | {"view": {}}), 'metadata.1_0.vid is "1", expected a key of view'),
        ("x.json", json.dumps(via_project() | {"file": 1}), "file is 1, expected an object"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    done = run(tmp_path / name, "--out", tmp_path / "segments.csv")
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "segments.csv").exists()


def test_columns_that_there_are_not(tmp_path: Path) -> None:
    path = write_via(tmp_path)
    for given, message in (
        ("verb=what", "'what' is not one of verb, noun, label"),
        ("word=verb", "no track 'word', only verb, noun"),
        ("verb", "--column verb: expected TRACK=COLUMN"),
    ):
        assert message in run(path, "--column", given, "--out", tmp_path / "s.csv").output
    assert "no-such.eaf: no such file" in run(tmp_path / "no-such.eaf", "--out", tmp_path / "s.csv").output
    assert "a folder without ELAN's .eaf" in run(Path(__file__).parent, "--out", tmp_path / "s.csv").output
