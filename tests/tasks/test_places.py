"""What cannot be used changes nothing but itself: sequences keep their places, the test split every item."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egopack.data.samples import Sample
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.skips import Skips
from egopack.tasks.base import SampleSource, load_task
from tests.support import small

VERBS, NOUNS, HORIZON, COUNT, ROWS = 5, 6, 4, 14, 60
Rows = list[dict[str, Any]]
TEST = "test_unannotated"


def row(index: int) -> dict[str, Any]:
    """Action `index` of a clip of 30 s, 60 frames after the one before it."""
    return {
        "video_uid": "v", "clip_uid": "c", "clip_parent_start_frame": 30, "clip_parent_end_frame": 930,
        "action_clip_start_frame": 60 * index, "action_clip_end_frame": 60 * index + 90, "action_idx": index,
        "verb_label": index % VERBS, "noun_label": index % NOUNS,
    }  # fmt: skip


def window(name: str, start: int, end: int, clip_id: str = "1", video_uid: str = "v") -> dict[str, Any]:
    named = {"clip_id": clip_id, "unique_id": name, "video_uid": video_uid}
    return named | {
        "parent_start_frame": start,
        "parent_end_frame": end,
        "state_change": True,
        "parent_pnr_frame": start,
    }


def write(folder: Path, name: str, value: Any) -> None:
    path = folder / "annotations" / "v1" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def indexed(task: str, folder: Path, split: str, **rows: int) -> tuple[list[Sample], dict[str, int]]:
    source = SampleSource(Annotations(folder, "v1"), rows or {"v": ROWS}, small.GRID, Skips())
    samples = load_task(task).samples(source, split, small.task_params(task))
    return samples, {reason: entry["count"] for reason, entry in source.skips.to_dict().items()}


def lta(folder: Path, rows: Rows, split: str = "train", task: str = "lta") -> tuple[list[Sample], dict[str, int]]:
    write(folder, f"fho_lta_{split}", {"clips": rows})
    write(folder, "fho_lta_taxonomy", {"verbs": list("abcde"), "nouns": list("fghijk")})
    return indexed(task, folder, split)


INJURIES: dict[str, dict[str, Any]] = {
    "verb beyond the taxonomy": {"verb_label": VERBS},
    "noun far beyond it": {"noun_label": 10**6},
    "negative verb": {"verb_label": -3},
    "both beyond it": {"verb_label": 116, "noun_label": 520},
    "no length": {"action_clip_end_frame": 0, "action_clip_start_frame": 0},
    "reversed": {"action_clip_end_frame": -900},
    "clip reversed": {"clip_parent_end_frame": 0},
    "another clip's start": {"clip_parent_start_frame": 45},
    "another video": {"video_uid": "w"},
}  # fmt: skip
UNTIMED = tuple(INJURIES)[4:]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(0, COUNT - 1), st.sampled_from(sorted(INJURIES)), max_size=6), st.randoms())
def test_labels_stay_at_their_steps(injured: dict[int, str], shuffle: Any) -> None:
    """Whatever is wrong with some actions: at step k stands the label of the k-th action after the observed ones."""
    rows = [row(index) | (INJURIES[injured[index]] if index in injured else {}) for index in range(COUNT)]
    shuffle.shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        samples, skips = lta(Path(folder), rows)
    by_index = {one["action_idx"]: one for one in rows}
    places = list(range(COUNT - 2 - HORIZON))
    # each injury is one that most rows do not share, so that the clip lies where the others say
    kept = [place for place in places if not {injured.get(place), injured.get(place + 1)} & set(UNTIMED)]
    assert [sample.key for sample in samples] == [f"c#{place + 1}" for place in kept]
    for place, sample in zip(kept, samples, strict=True):
        for part, classes in (("verb", VERBS), ("noun", NOUNS)):
            labels = [by_index[place + 2 + step][f"{part}_label"] for step in range(HORIZON)]
            expected = [label if 0 <= label < classes else -1 for label in labels]
            assert sample.targets[f"{part}s"].tolist() == expected
    assert skips.get("observed action of which it cannot be told where it lies", 0) == len(places) - len(kept)


@pytest.mark.parametrize("injury", INJURIES)
def test_ar_loses_the_injured_action_alone(injury: str, tmp_path: Path) -> None:
    rows = [row(index) for index in range(COUNT)]
    (whole,), none = lta(tmp_path / "whole", rows, task="ar")
    assert not none
    rows[3] |= INJURIES[injury]
    (sample,), skips = lta(tmp_path / "injured", rows, task="ar")
    assert sum(skips.values()) == (2 if injury == "both beyond it" else 1)
    others = [i for i in range(COUNT) if i != 3] if injury in UNTIMED else list(range(COUNT))
    np.testing.assert_array_equal(sample.segments, whole.segments[others])
    np.testing.assert_array_equal(sample.rows, whole.rows)
    same = [i for i in others if i != 3]
    for name in ("verbs", "nouns"):
        np.testing.assert_array_equal(
            np.delete(sample.targets[name], 3 if injury not in UNTIMED else []), whole.targets[name][same]
        )


@pytest.mark.parametrize("injury", [name for name in INJURIES if name in UNTIMED])
def test_every_position_of_the_test_split_is_predicted(injury: str, tmp_path: Path) -> None:
    rows = [row(index) for index in range(COUNT)]
    rows[2] |= INJURIES[injury]
    samples, skips = lta(tmp_path, rows, TEST)
    assert [sample.key for sample in samples] == [f"c#{place + 1}" for place in range(COUNT - 2 - HORIZON)]
    assert all(len(sample.rows) for sample in samples)
    assert skips["observed action of which it cannot be told where it lies"] == 2


def test_positions_past_the_features_are_predicted_on_the_test_split_alone(tmp_path: Path) -> None:
    rows = [
        row(index) | {"action_clip_start_frame": 60 * index + 700, "action_clip_end_frame": 60 * index + 790}
        for index in range(COUNT)
    ]
    for split in ("val", TEST):
        write(tmp_path, f"fho_lta_{split}", {"clips": rows})
    write(tmp_path, "fho_lta_taxonomy", {"verbs": list("abcde"), "nouns": list("fghijk")})
    outside = [place for place in range(COUNT - 2 - HORIZON) if (730 + 60 * place) // 16 >= ROWS]
    for split, left_out in (("val", len(outside)), (TEST, 0)):
        samples, skips = indexed("lta", tmp_path, split)
        assert len(samples) == COUNT - 2 - HORIZON - left_out
        assert skips["observed actions without a feature row"] == len(outside) > 0
    assert samples[-1].rows.tolist() == [ROWS - 1]


def test_the_majority_says_where_a_clip_lies(tmp_path: Path) -> None:
    rows = [row(index) for index in range(COUNT)]
    rows[0] |= {"clip_parent_start_frame": 0, "video_uid": "w"}  # the first row is the odd one
    samples, skips = lta(tmp_path, rows)
    assert {sample.video_uid for sample in samples} == {"v"}
    assert len(samples) == COUNT - 2 - HORIZON - 1
    assert skips == {
        "action that lies elsewhere than its clip": 1,
        "observed action of which it cannot be told where it lies": 1,
    }


def test_two_actions_of_one_place_are_one(tmp_path: Path) -> None:
    rows = [row(index) for index in range(COUNT)]
    rows.append(row(5) | {"noun_label": 0, "action_clip_end_frame": 399})
    samples, skips = lta(tmp_path, rows)
    assert skips["action that has the action_idx of another"] == 1
    assert [sample.key for sample in samples] == [f"c#{place + 1}" for place in (0, 1, 2, 3, 6, 7)]  # 5 is not observed
    assert samples[3].targets["nouns"].tolist() == [-1, 0, 1, 2]  # of actions 5 ... 8
    assert samples[3].targets["verbs"].tolist() == [0, 1, 2, 3]  # in which both agree
    spoilt = rows[-1] | {"action_clip_end_frame": -1}
    samples, skips = lta(tmp_path, [*rows[:-1], spoilt])
    assert len(samples) == COUNT - 2 - HORIZON  # the other one is whole
    assert samples[3].targets["nouns"].tolist() == [5, 0, 1, 2]


@pytest.mark.parametrize("task", ["oscc", "pnr"])
def test_windows_of_the_test_split_are_all_predicted(task: str, tmp_path: Path) -> None:
    windows = [
        window("elsewhere", 40, 280, video_uid="w"),  # first, and yet not where most of its clip lies
        window("a", 100, 340),
        window("b", 200, 440),
        window("reversed", 300, 200),
        window("after the features", 10**6, 10**6 + 240, clip_id="2"),
        window("a", 100, 340),
    ]
    for split in ("train", TEST):
        write(tmp_path, f"fho_oscc-pnr_{split}", {"clips": windows})
    named = {}
    for split in ("train", TEST):
        samples, skips = indexed(task, tmp_path, split, v=ROWS, w=ROWS)
        named[split] = sorted(
            name for sample in samples for name in (sample.texts["unique_ids"] if task == "oscc" else [sample.key])
        )
        assert skips["repeated id"] == 1
        assert skips["window that ends before it starts"] == 1
    assert named[TEST] == sorted({one["unique_id"] for one in windows})
    assert named["train"] == (["a", "b"] if task == "oscc" else ["a", "b", "elsewhere"])


def test_a_window_that_is_left_out_moves_no_other(tmp_path: Path) -> None:
    windows = [window("a", 100, 340), window("b", 200, 440), window("c", 320, 560)]
    write(tmp_path / "whole", "fho_oscc-pnr_val", {"clips": windows})
    spoilt = [window("first", 0, 0), window("other", 5, 200, video_uid="w")]
    write(tmp_path / "more", "fho_oscc-pnr_val", {"clips": [*spoilt, *windows]})
    (one,), _ = indexed("oscc", tmp_path / "whole", "val", v=ROWS, w=ROWS)
    (two,), _ = indexed("oscc", tmp_path / "more", "val", v=ROWS, w=ROWS)
    np.testing.assert_array_equal(one.segments, two.segments)
    np.testing.assert_array_equal(one.rows, two.rows)
    assert one.texts == two.texts


def test_clips_of_moments_on_the_test_split_are_all_predicted(tmp_path: Path) -> None:
    def clip(name: str, start: int, end: int) -> dict[str, Any]:
        seconds = {"video_start_sec": start / 30, "video_end_sec": end / 30}
        return {"clip_uid": name, "video_start_frame": start, "video_end_frame": end} | seconds

    clips = [clip("whole", 0, 600), clip("reversed", 600, 0), clip("after", 10**6, 10**6 + 600)]
    write(tmp_path, "moments_val", {"videos": [{"video_uid": "v", "clips": clips}]})
    write(tmp_path, f"moments_{TEST}", {"videos": [{"video_uid": "v", "clips": clips}]})
    labels = tmp_path / "annotations" / "mq_labels.tsv"
    labels.write_text("0\tcut\n", encoding="utf-8")
    assert [sample.key for sample in indexed("mq", tmp_path, "val")[0]] == ["whole"]
    samples, skips = indexed("mq", tmp_path, TEST)
    assert [sample.key for sample in samples] == ["whole", "reversed", "after"]
    assert skips == {"clip that ends before it starts": 1, "clip outside of the video's features": 2}
    annotations = Annotations(tmp_path, "v1")
    assert [annotations.found("moments", split)["clips"] for split in ("val", TEST)] == [3, 3]
