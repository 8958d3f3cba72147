"""Predictions as files: what JSON, CSV, subtitles and timelines hold, read back by other means."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

from egopack.inference.outputs import DRAWN, as_json, spans_of, subtitles, timelines, write

TABLE = pd.DataFrame(
    {
        "video": ["v", "v", "v", "w"],
        "task": ["mq", "mq", "pnr", "mq"],
        "start": [1.0, 3661.2345, 5.0, 0.0],
        "end": [2.5, 3700.0, 5.0, 9.0],
        "label": ["cut", "peel & <dry>", "point of no return", "cut"],
        "score": [0.123456789, 0.5, 0.25, 1.0],
        "window_start": [None, None, 0.0, None],
    }
)


def lta(sequences: int = 2, steps: int = 4) -> pd.DataFrame:
    rows = [(0.0, 8.0, f"s{s}{z}", 0.5, z, s) for s in range(1, sequences + 1) for z in range(1, steps + 1)]
    table = pd.DataFrame(rows, columns=["start", "end", "label", "score", "step", "sequence"])
    return table.assign(video="v", task="lta")


def test_json_has_what_each_task_tells() -> None:
    found = as_json(TABLE)
    assert found["v"]["mq"][0] == {"start": 1, "end": 2.5, "label": "cut", "score": 0.123457}
    assert found["v"]["pnr"][0]["window_start"] == 0
    assert list(found) == ["v", "w"]
    json.dumps(found, allow_nan=False)


def test_subtitles_are_in_order_and_an_instant_lasts_a_second() -> None:
    assert subtitles(TABLE[:3]) == (
        "1\n00:00:01,000 --> 00:00:02,500\nMQ: cut (0.12)\n\n"
        "2\n00:00:05,000 --> 00:00:06,000\nPNR: point of no return (0.25)\n\n"
        "3\n01:01:01,234 --> 01:01:40,000\nMQ: peel & <dry> (0.50)\n"
    )


def test_anticipated_actions_stand_at_what_was_observed() -> None:
    (span,) = spans_of(lta())
    assert (span.start, span.end, span.label, span.note) == (0, 8, "then s11, s12, s13", "s14")


def test_a_timeline_for_each_video_and_a_row_for_each_task() -> None:
    figures = list(timelines(pd.concat([TABLE, lta()], ignore_index=True)))
    assert len(figures) == 2
    assert re.findall(r'<div class="name">(.*?)\n?</div>', figures[0]) == [
        "MQ predicted",
        "PNR predicted",
        "LTA predicted",
    ]
    assert "peel &amp; &lt;dry&gt;" in figures[0]
    assert "cut · 0:01–0:02.5 · score 0.12" in figures[0]
    assert "data-score" not in figures[0]  # a row of few is shown, whatever another one hides


def test_a_timeline_of_very_many_has_the_best_and_shows_some_at_first() -> None:
    count = DRAWN + 100
    many = pd.DataFrame({"start": range(count), "end": range(2, count + 2), "score": [n / count for n in range(count)]})
    (figure,) = timelines(many.assign(video="v", task="mq", label="cut"))
    assert f"MQ predicted (the best {DRAWN} of {count})" in figure
    hidden = figure.count("display:none")
    assert DRAWN - 60 < hidden < DRAWN - 20


def test_all_forms_are_written_and_named(tmp_path: Path) -> None:
    html = tmp_path / "t.html"
    written = write(TABLE, tmp_path / "out.json", csv=True, srt=True, html=html, title="egopack/mq")
    assert [path.name for path in written] == ["out.json", "out.csv", "out.v.srt", "out.w.srt", "t.html"]
    back = pd.read_csv(tmp_path / "out.csv")
    assert back["label"].tolist() == TABLE["label"].tolist()
    assert "<title>Predictions of egopack/mq</title>" in html.read_text()


def test_a_video_without_predictions_is_there_too(tmp_path: Path) -> None:
    html, none = tmp_path / "t.html", TABLE[:0]
    written = write(none, tmp_path / "o.json", csv=True, srt=True, html=html, title="x", videos=["v"])
    assert [path.name for path in written] == ["o.json", "o.csv", "t.html"]
    assert json.loads((tmp_path / "o.json").read_text()) == {"v": {}}
    assert "v: nothing" in html.read_text()
