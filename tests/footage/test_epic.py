"""EPIC-KITCHENS-100's own files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egopack.ego4d.layout import TEST
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.footage.epic import read_epic
from tests.support import epic_files, footage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    epic_files.write_annotations(tmp_path, np.random.default_rng(0))
    return tmp_path


def test_splits_are_the_official_ones_and_classes_those_of_the_lists(root: Path) -> None:
    found = read_epic(root)
    assert found.videos["split"].to_dict() == dict.fromkeys(("P01_01", "P01_02", "P03_01"), "train") | dict.fromkeys(
        ("P01_11", "P02_01", "P03_11"), "val"
    ) | {"P04_01": TEST}
    assert found.videos["group"]["P02_01"] == "P02"
    assert found.classes["verbs"] == tuple(f"verb{i}" for i in range(epic_files.VERBS))
    assert len(found.classes["nouns"]) == epic_files.NOUNS


def test_actions_keep_their_names_and_come_in_order_of_start(root: Path) -> None:
    rows = epic_files.write_annotations(root, np.random.default_rng(0))
    lengths = dict.fromkeys(read_epic(root).videos.index, 200)
    actions = footage.opened(root, "epic", lengths).of("actions").actions("val", Skips())
    wanted = [
        (epic_files.seconds(row["start_timestamp"]), row["narration_id"], row["verb_class"], row["noun_class"])
        for row in rows
        if row["video_id"] == "P02_01"
    ]
    found = [(a.start / 30, a.name, a.verb, a.noun) for a in actions if a.clip_uid == "P02_01"]
    assert sorted(found, key=lambda one: one[1]) == [
        (pytest.approx(start), *rest) for start, *rest in sorted(wanted, key=lambda one: one[1])
    ]
    assert [start for start, *_ in found] == sorted(start for start, *_ in wanted)
    assert [a.action_idx for a in actions if a.clip_uid == "P02_01"] == list(range(40))


def test_a_part_of_the_training_split_will_do_where_the_whole_is_not_there(root: Path) -> None:
    (root / "EPIC_100_train.csv").rename(root / "EPIC_100_uda_source_train.csv")
    assert len(read_epic(root).segments) == 30 * 3 + 40 * 3 + 10
    (root / "EPIC_100_test_timestamps.csv").unlink()
    assert set(read_epic(root).videos["split"]) == {"train", "val"}


def test_a_class_that_is_not_in_the_list_is_an_error(root: Path) -> None:
    path = root / "EPIC_100_train.csv"
    text = path.read_text().splitlines()
    cells = text[3].split(",")
    cells[10] = "97"
    path.write_text("\n".join([*text[:3], ",".join(cells), *text[4:]]) + "\n")
    with pytest.raises(UserError, match=r"EPIC_100_train.csv: row 4, verb_class: '97', expected an id below 7"):
        read_epic(root)
