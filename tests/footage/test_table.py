"""Tables of segments as people write them, and what is wrong with them in one line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from egopack.errors import UserError
from egopack.footage.table import read_table
from egopack.footage.timelines import ALIKE, Timelines

PLAIN = "video,start,end,verb,noun,label,state_change,pnr,split,id\n"
ROWS = "a,1.5,3,cut,apple,cook,yes,2.5,train,x1\na,4,62.25,wash,,cook,no,,train,x2\nb,0,1,cut,apple,,,,val,x3\n"


def read(folder: Path, text: str | bytes, name: str = "segments.csv", **others: str) -> Timelines:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for other, content in others.items():
        (folder / other.replace("_", ".")).write_text(content)
    return read_table(path)


def values(timelines: Timelines) -> list[dict[str, object]]:
    table = timelines.segments.drop(columns="row").astype(object)
    return table.where(table.notna(), None).to_dict("records")


def test_a_plain_table_is_read_as_it_stands(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN + ROWS)
    assert found.segments["row"].tolist() == [2, 3, 4]
    first = {"video": "a", "start": 1.5, "end": 3.0, "verb": "cut", "noun": "apple", "label": "cook"}
    assert values(found)[0] == first | {"state_change": True, "pnr": 2.5, "split": "train", "id": "x1"}
    assert values(found)[1]["noun"] is None
    assert values(found)[1]["state_change"] is False
    assert found.videos["split"].to_dict() == {"a": "train", "b": "val"}


@pytest.mark.parametrize(
    "text",
    [
        (PLAIN + ROWS).replace("\n", "\r\n"),
        "\ufeff" + PLAIN + ROWS,
        (PLAIN + ROWS).replace(",", ";").replace("62.25", "62,25"),
        (PLAIN + ROWS).replace("62.25", "1:02.25").replace("1.5", "00:00:01.5"),
        (PLAIN + ROWS).replace("62.25", '"62,25"'),
        PLAIN.upper().replace("STATE_CHANGE", "State Change") + ROWS.replace("train", "Training").replace("val", "VAL"),
        (PLAIN + ROWS).replace("a,1.5", " a.MP4 ,1.5").replace("a,4", " a.MP4 ,4"),
        "other," + PLAIN + "".join(f"?,{row}\n" for row in ROWS.splitlines()) + ",,,,,,,,,,\n\n",
    ],
    ids=["windows", "mark", "locale", "clock", "quoted", "case", "media", "empty rows"],
)
def test_what_spreadsheets_make_of_it_is_the_same(tmp_path: Path, text: str) -> None:
    assert values(read(tmp_path, text)) == values(read(tmp_path, PLAIN + ROWS))


def test_other_forms_of_file_are_the_same(tmp_path: Path) -> None:
    expected = read(tmp_path, PLAIN + ROWS)
    read(tmp_path, (PLAIN + ROWS).replace(",", "\t"), "segments.tsv")
    table = pd.read_csv(tmp_path / "segments.csv")
    table.to_parquet(tmp_path / "segments.parquet")
    table.to_json(tmp_path / "segments.jsonl", orient="records", lines=True)
    for suffix in ("tsv", "parquet", "jsonl"):
        assert values(read_table(tmp_path / f"segments.{suffix}")) == values(expected), suffix


def test_frames_are_seconds_of_the_rate_of_their_video(tmp_path: Path) -> None:
    text = "video,start_frame,end_frame,label\na,60,120,x\nb,25,50,x\n"
    found = read(tmp_path, text, videos_csv="video,fps,duration,group\na,60,10,one\nb,25,,\n")
    assert found.segments[["start", "end"]].to_numpy().tolist() == [[1, 2], [1, 2]]
    assert found.videos.loc["a", ["duration", "group"]].tolist() == [10, "one"]
    with pytest.raises(UserError, match=r"segments.csv: row 3, start_frame: the fps of video 'b' is not known; add it"):
        read(tmp_path, text, videos_csv="video,fps\na,60\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,begin,end,label\na,1,2,x\n", "row 1: no column 'start'"),
        ("video,strt,end,label\na,1,2,x\n", "row 1: no column 'start'; is it 'strt'?"),
        (
            "video,start,end,verbs\na,1,2,x\n",
            "row 1: none of the columns verb, noun, label, state_change, pnr; is it 'verbs'?",
        ),
        ("video,start,end,label,label\na,1,2,x,y\n", "row 1: the column 'label' stands twice"),
        ("video,start,end,label\na,1,2,x\na,one,2,x\n", "row 3, start: 'one', expected seconds, as 12.5 or 1:02.5"),
        ("video,start,end,label\na,=A1,2,x\n", "row 2, start: '=A1', expected seconds"),
        ("video,start,end,label\na,1.000,5,2,x\n", "not a table: Expected 4 fields in line 2, saw 5"),
        ("video,start,end,label\na,,2,x\n", "row 2, start: '', expected a value"),
        ("video,start,end,label\na,1e300,2,x\n", "row 2, start: '1e300', expected seconds"),
        ("video,start,end,label\na,1,2,=SUM(A1)\n", "row 2, label: '=SUM(A1)', expected a name, not a formula"),
        ("video,start,end,label\n,1,2,x\n", "row 2, video: '', expected the name of a video"),
        ("video,start,end,label\na,1,2,x\na,1,\0,x\n", "row 3 holds a NUL byte; save the table as CSV in UTF-8"),
        (b"video,start,end,label\na,1,2,x\n" + b"a,1,2,caf\xe9\n", "row 3 is not UTF-8"),
        (
            "video,start,end,state_change\na,1,2,maybe\n",
            "row 2, state_change: 'maybe', expected true, false or nothing",
        ),
        ("video,start,end,label,split\na,1,2,x,trian\n", "row 2, split: 'trian', expected train, val or test"),
        (
            "video,start,end,label,split\na,1,2,x,train\nb,1,2,x,val\na,3,4,x,val\n",
            "row 4, split: 'val', but video 'a' is in 'train' elsewhere",
        ),
        ("video,start,end,label\nx/a,1,2,x\nx:a,1,2,x\n", "row 3, video: 'x:a' and 'x/a' both are the files x_a.*"),
        (
            "video,start,end,label\na.mp4,1,2,x\na.mov,1,2,x\n",
            "row 3, video: 'a.mov' and 'a.mp4' both are the files a.*",
        ),
        ("", "not a table"),
    ],
)
def test_bad_input_gets_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "segments.csv"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_segments_of_no_use_are_counted(tmp_path: Path) -> None:
    text = "video,start,end,label\na,1,2,x\na,3,2,x\na,1,2,x\na,-3,-1,x\na,-3,1,y\n"
    found = read(tmp_path, text)
    assert values(found) == [
        {"video": "a", "start": 1.0, "end": 2.0, "label": "x"},
        {"video": "a", "start": 0.0, "end": 1.0, "label": "y"},
    ]
    assert found.skips.to_dict() == {
        "segment before the start of its video": {"count": 1, "examples": ["segments.csv: row 5"]},
        "segment listed twice": {"count": 1, "examples": ["segments.csv: row 4"]},
        "segment that ends before it starts": {"count": 1, "examples": ["segments.csv: row 3"]},
    }


def test_labels_that_differ_by_case_or_spaces_are_told_once(tmp_path: Path) -> None:
    found = read(tmp_path, "video,start,end,label\na,1,2,Cut up\na,3,4,cut up\na,5,6,cutup\na,7,8,cut up\n")
    examples = ["label 'Cut up' and 'cut up'", "label 'Cut up' and 'cutup'"]
    assert found.skips.to_dict() == {ALIKE: {"count": 2, "examples": examples}}


@pytest.mark.parametrize("name", ["küche 1", "v1.2", "日本", "007"])
def test_names_of_videos_stay_what_they_are(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, f"video,start,end,label\n{name},1,2,x\n").segments["video"].tolist() == [name]


def test_names_cannot_leave_their_folder(tmp_path: Path) -> None:
    found = read(tmp_path, "video,start,end,label\n../../etc/x,1,2,x\n.hidden,1,2,x\n")
    assert found.segments["video"].tolist() == ["_._.._etc_x", "_hidden"]


def test_classes_can_be_listed(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(json.dumps({"verbs": ["wash", "cut"]}))
    assert read(tmp_path, PLAIN + ROWS).classes == {"verbs": ("wash", "cut")}
    (tmp_path / "labels.json").write_text(json.dumps({"verb": ["wash"]}))
    with pytest.raises(UserError, match=r"labels.json: verb: unknown, expected any of verbs, nouns, moments"):
        read(tmp_path, PLAIN + ROWS)


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ("video,duration\na,0\n", "videos.csv: row 2, duration: '0', expected more than 0"),
        ("video,fps\na,25\na,30\n", "videos.csv: row 3, video: 'a', expected each video once"),
        ("name,fps\na,25\n", "videos.csv: row 1: no column 'video'"),
    ],
)
def test_the_table_of_videos_is_checked_too(tmp_path: Path, videos: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, PLAIN + ROWS, videos_csv=videos)
    assert message in str(error.value)


@pytest.mark.slow
def test_a_million_rows_take_seconds(tmp_path: Path) -> None:
    rng, count = np.random.default_rng(0), 1_000_000
    start = np.round(rng.uniform(0, 3600, count), 2)
    table = pd.DataFrame({"video": [f"v{i % 1000}" for i in range(count)], "start": start, "end": start + 1.25})
    table["verb"], table["noun"] = rng.choice(["cut", "wash"], count), rng.choice(["apple", "pear"], count)
    table.to_csv(tmp_path / "segments.csv", index=False)
    began = time.process_time()
    assert len(read_table(tmp_path / "segments.csv").segments) > 0.99 * count
    assert time.process_time() - began < 10
