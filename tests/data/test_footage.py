"""Footage: what a video is cut into covers it once, and fits its rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from egopack.data.footage import Footage
from egopack.data.grid import Grid

GRID = Grid(15, 30.0)  # two rows a second


def footage(count: int, **more: object) -> Footage:
    return Footage("video", count, GRID, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (20.0, [[0, 8], [8, 20]]),
        (20.5, [[0, 8], [8, 16], [16, 20.5]]),
        (16.0, [[0, 8], [8, 16]]),
        (3.0, [[0, 3]]),
    ],
)
def test_windows_follow_each_other_and_a_short_rest_joins_the_last(seconds: float, expected: list[list[float]]) -> None:
    assert footage(round(2 * seconds)).windows().tolist() == expected


@pytest.mark.parametrize("count", [1, 40, 1001])
@pytest.mark.parametrize("part_rows", [1, 64, 10**6])
def test_parts_hold_every_window_once_in_order(count: int, part_rows: int) -> None:
    whole = footage(count, part_rows=part_rows)
    parts = list(whole.parts())
    assert np.concatenate(parts).tolist() == whole.windows().tolist()
    assert all(np.ptp(part) * 2 <= max(part_rows, 24) for part in parts)
    assert part_rows < 10**6 or len(parts) == 1


def test_a_part_brings_the_rows_that_its_windows_depend_on_at_their_places() -> None:
    sample = footage(100, reach_s=3.0).pooled(np.array([[20.0, 22.0]]), {})
    assert sample.rows.tolist() == list(range(34, 50))
    assert sample.pos.tolist() == [0.25 + row / 2 for row in range(34, 50)]
    assert footage(100, reach_s=30.0).pooled(np.array([[0.0, 50.0]]), {}).rows.tolist() == list(range(100))


def test_a_short_video_is_one_clip() -> None:
    (clip,) = footage(960).clips({})
    rows, where = clip.rows, clip.metadata
    assert rows.tolist() == list(range(960))
    assert where["at"].tolist() == [0, 480]
    assert where["core"].tolist() == [0, np.inf]
    assert where["duration"].tolist() == [480]


@pytest.mark.parametrize("count", [961, 1440, 2001, 20000])
def test_clips_of_a_long_video_overlap_and_their_cores_meet(count: int) -> None:
    clips = [(clip.rows, clip.metadata) for clip in footage(count).clips({})]
    assert len(clips) >= 2
    assert set(np.concatenate([rows for rows, _ in clips]).tolist()) == set(range(count))
    assert all(len(rows) == 960 for rows, _ in clips)
    cores = [where["core"].tolist() for _, where in clips]
    assert cores[0][0] == 0
    assert cores[-1][1] == np.inf
    assert all(one[1] == other[0] for one, other in pairwise(cores))
    for (_, where), core in zip(clips, cores, strict=True):
        assert where["at"][0] <= core[0]
        assert min(core[1], count / 2) <= where["at"][1]


def test_a_stretch_between_two_rows_has_the_nearest() -> None:
    assert footage(10).rows(1.1, 1.2).tolist() == [2]
    assert footage(10).rows(1.0, 2.0).tolist() == [2, 3]
    assert footage(10).rows(4.9, 5.2).tolist() == [9]
