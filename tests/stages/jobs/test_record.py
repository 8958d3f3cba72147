"""Durations are kept, summed up and drawn."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from stages._jobs.record import Ran, draw, keep_times, last_times, table

RUN = [
    Ran("index@a<b", 0, 2, (0,), 300 << 20),
    Ran("index@c", 0, 1, (1,), 500 << 20),
    Ran("train@c", 2, 8, (0, 1), 800 << 20),
    Ran("compare", 8, 8.5, (0,), 1 << 20, "cached"),
    Ran("report", 8, 9, (1,), 1 << 20, "failed"),
]
NAMESPACE = "{http://www.w3.org/2000/svg}"


def test_only_what_ran_to_its_end_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "times.json"
    assert last_times(file) == {}
    keep_times(file, [Ran("index@c", 0, 9, (0,)), Ran("report", 0, 3, (0,), 7)])
    keep_times(file, RUN)
    assert set(last_times(file)) == {"index@a<b", "index@c", "train@c", "report"}
    assert last_times(file)["index@c"] == {"seconds": 1.0, "peak_bytes": 500 << 20}
    assert last_times(file)["report"] == {"seconds": 3.0, "peak_bytes": 7}
    file.write_text("{")
    assert last_times(file) == {}


def test_table_sums_up_by_kind() -> None:
    head, *rows, last = table(RUN, 9.0).splitlines()
    assert head.split() == ["stage", "runs", "seconds", "longest", "MB"]
    assert [row.split() for row in rows] == [
        ["index", "2", "3.0", "2.0", "500", "a<b"],
        ["train", "1", "6.0", "6.0", "800", "c"],
        ["compare", "1", "0.5", "0.5", "1"],
        ["report", "1", "1.0", "1.0", "1"],
    ]
    assert last.split() == ["all", "5", "10.5", "in", "9.0", "s,", "1.17", "at", "once"]


def test_bars_lie_where_stages_ran(tmp_path: Path) -> None:
    draw(tmp_path / "gantt.svg", RUN, 9.0)
    picture = ElementTree.parse(tmp_path / "gantt.svg")
    told = [title.text for title in picture.iter(f"{NAMESPACE}title")]
    assert told == [
        "index@a<b: 2.0 s, ran",
        "index@c: 1.0 s, ran",
        *["train@c: 6.0 s, ran"] * 2,
        "compare: 0.5 s, cached",
        "report: 1.0 s, failed",
    ]
    bars = [group.find(f"{NAMESPACE}rect") for group in picture.iter(f"{NAMESPACE}g")]
    places = [(float(bar.get("x", "")), float(bar.get("width", "")), bar.get("y")) for bar in bars if bar is not None]
    second = places[0][1] / 2
    assert [round((x - places[0][0]) / second, 2) for x, _, _ in places] == [0, 0, 2, 2, 8, 8]
    assert [round(width / second, 2) for _, width, _ in places] == [2, 1, 6, 6, 0.5, 1]
    rows = [y for _, _, y in places]
    assert rows[0] == rows[2] == rows[4]
    assert rows[1] == rows[3] == rows[5] != rows[0]
