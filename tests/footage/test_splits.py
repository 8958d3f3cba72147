"""Splits that are drawn, and kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.footage.splits import WITHOUT, assign, read_splits, write_splits
from egopack.params import SplitParams


def videos(count: int, groups: int | None = None, splits: dict[str, str] | None = None) -> pd.DataFrame:
    names = [f"v{number:02d}" for number in range(count)]
    group = [None if groups is None else f"p{number % groups}" for number in range(count)]
    own = [(splits or {}).get(name) for name in names]
    return pd.DataFrame({"split": own, "group": group}, index=names, dtype=object)


@pytest.mark.parametrize(
    ("count", "val", "expected"), [(20, 0.2, 4), (20, 0.5, 10), (3, 0.2, 1), (2, 0.01, 1), (100, 0.1, 10)]
)
def test_a_share_of_the_videos_validates(count: int, val: float, expected: int) -> None:
    for seed in range(5):
        found = assign(videos(count), {}, SplitParams(seed=seed, val=val), Skips())
        assert Counter(found.values()) == {"train": count - expected, "val": expected}


def test_seeds_draw_different_videos_and_one_seed_the_same() -> None:
    drawn = [assign(videos(20), {}, SplitParams(seed=seed), Skips()) for seed in (0, 1, 0)]
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_group_stays_together() -> None:
    found = assign(videos(24, groups=6), {}, SplitParams(val=0.3), Skips())
    for group in range(6):
        assert len({found[f"v{number:02d}"] for number in range(group, 24, 6)}) == 1
    assert set(found.values()) == {"train", "val"}


def test_what_was_drawn_is_kept_when_videos_are_added() -> None:
    before = assign(videos(10), {}, SplitParams(), Skips())
    after = assign(videos(30), before, SplitParams(seed=3), Skips())
    assert {name: after[name] for name in before} == before
    assert Counter(after.values())["val"] == 6


def test_what_the_source_says_counts_alone() -> None:
    skips = Skips()
    assert assign(videos(3, splits={"v00": "val", "v02": "train"}), {"v01": "val"}, SplitParams(), skips) == {
        "v00": "val",
        "v02": "train",
    }
    assert skips.to_dict() == {WITHOUT: {"count": 1, "examples": ["v01"]}}


def test_a_written_split_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    assert read_splits(path) == {}
    write_splits(path, {"b, c": "val", "a": "train"})
    assert path.read_text() == 'video,split\na,train\n"b, c",val\n'
    assert read_splits(path) == {"a": "train", "b, c": "val"}
    path.write_text("video,split\na,test\n")
    with pytest.raises(UserError, match=r"row 2 is 'a,test', expected a video and train or val"):
        read_splits(path)
