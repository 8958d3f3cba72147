"""Files of what to predict: JSON and CSV, stretches and points, and what is neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.errors import UserError
from egopack.inference.segments_file import read_segments


def read(folder: Path, name: str, text: str, videos: tuple[str, ...] = ("a",)) -> dict[str, list[list[float]]]:
    (folder / name).write_text(text, encoding="utf-8")
    return {video: rows.tolist() for video, rows in read_segments(folder / name, videos, 8.0).items()}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.json", '{"a": [[0, 2.5], [3, 4]]}'),
        ("s.json", "[[0, 2.5], [3, 4]]"),
        ("s.csv", "video,start,end\na,0,2.5\na,3,4\n"),
        ("s.csv", "\ufeffstart,end\r\n0,2.5\r\n3,4\r\n"),
    ],
)
def test_stretches(name: str, text: str, tmp_path: Path) -> None:
    assert read(tmp_path, name, text) == {"a": [[0, 2.5], [3, 4]]}


@pytest.mark.parametrize(("name", "text"), [("s.json", '{"b": [20, 5]}'), ("s.csv", "video,at\nb,20\nb,5\n")])
def test_a_point_is_the_end_of_what_is_observed(name: str, text: str, tmp_path: Path) -> None:
    assert read(tmp_path, name, text) == {"b": [[12, 20], [0, 5]]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", "[[0, 1", "expected "),
        ("s.json", '{"a": 3}', "expected "),
        ("s.json", '{"a": [["x", 1]]}', "expected .*could not convert"),
        ("s.json", "{}", "no segment"),
        ("s.csv", "video,begin,end\na,0,1\n", "expected .*'start'"),
        ("s.csv", "video,start,end\na,0,\n", "expected "),
        ("s.csv", "", "no segment"),
    ],
)
def test_files_of_another_form_are_one_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, name, text)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_several_videos_have_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no videos, but there are 2"):
        read(tmp_path, "s.json", "[[0, 1]]", ("a", "b"))
