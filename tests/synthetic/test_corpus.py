"""The built-in corpus: its bytes, its sizes and its format."""

from __future__ import annotations

import json
from collections import Counter
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egopack.errors import UserError
from egopack.params import SyntheticParams, check
from egopack.synthetic.corpus import write_corpus
from egopack.synthetic.world import build_world
from tests.support.synthetic_corpus import SMALL, SPLITS, Corpus


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("small") / "corpus", SMALL)


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("default") / "corpus", SyntheticParams())


# --- bytes and sizes -------------------------------------------------------------------------------------------------


def test_same_settings_same_bytes(small: Corpus, tmp_path: Path) -> None:
    assert Corpus(tmp_path / "elsewhere", SMALL).digest() == small.digest()


def test_another_seed_another_corpus(small: Corpus, tmp_path: Path) -> None:
    other = Corpus(tmp_path / "corpus", SMALL.model_copy(update={"seed": SMALL.seed + 1}))
    assert not set(other.frames) & set(small.frames)
    same = set(other.digest().items()) & set(small.digest().items())
    assert {name for name, _ in same} == {"annotations/v1/fho_lta_taxonomy.json"}


def test_a_seed_draws_videos_and_a_world_its_laws() -> None:
    worlds = [build_world(SMALL.model_copy(update=change)) for change in ({}, {"seed": SMALL.seed + 1}, {"world": 1})]
    tables = [np.concatenate([world.mixing.ravel(), world.successors.ravel()]) for world in worlds]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert not np.isclose(tables[0], tables[2]).all()


def test_sizes_follow_settings(tmp_path: Path) -> None:
    settings = SyntheticParams(
        train_videos=3, val_videos=2, test_videos=1, mean_minutes=1, feature_set="omnivore", feature_size=7, verbs=40,
        nouns=45, moments=33, min_actions=5, missing_features=0, truncated_features=0, nan_features=0,
    )  # fmt: skip
    calls: list[tuple[int, int]] = []
    write_corpus(tmp_path / "corpus", settings, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 6) for i in range(1, 7)]
    files = list((tmp_path / "corpus" / "features" / "omnivore").glob("*.pt"))
    assert len(files) == 6
    assert {torch.load(path, weights_only=True).shape[1] for path in files} == {7}
    taxonomy = json.loads((tmp_path / "corpus" / "annotations" / "v1" / "fho_lta_taxonomy.json").read_text())
    assert (len(set(taxonomy["verbs"])), len(set(taxonomy["nouns"]))) == (40, 45)
    assert taxonomy["verbs"] == sorted(taxonomy["verbs"])


def test_default_size(default: Corpus) -> None:
    summary = default.summary
    assert [summary[split]["videos"] for split in ("train", "val", "test")] == [60, 72, 6]
    assert summary["val"]["actions"] > 1000
    assert summary["val"]["windows"] > 400
    assert summary["val"]["changes"] > 250
    assert summary["val"]["moments"] > 300
    for split in SPLITS:
        assert min(Counter(row["clip_uid"] for row in default.lta(split)).values()) >= 25


def test_summary_counts_what_is_there(small: Corpus) -> None:
    for split, suffix in zip(("train", "val", "test"), SPLITS, strict=True):
        counts = small.summary[split]
        assert counts["actions"] == len(small.lta(suffix))
        assert counts["windows"] == len(small.windows(suffix))
        assert counts["clips"] == len({row["clip_uid"] for row in small.lta(suffix)})
    assert small.summary["val"]["moments"] == sum(row["primary"] for _, row in small.labels("val"))


def test_does_not_write_over_anything(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UserError, match="not empty"):
        write_corpus(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_left_behind_after_an_error(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "corpus", SMALL.model_copy(update={"mean_minutes": 0.5}), progress=stop)
    assert list(tmp_path.iterdir()) == []


LEAST = {
    "train_videos": 1, "val_videos": 1, "test_videos": 0, "mean_minutes": 0.25, "feature_size": 1, "verbs": 4,
    "nouns": 4, "moments": 2, "min_actions": 1, "windows_per_clip": 1, "quirk_rate": 0,
}  # fmt: skip


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_the_smallest_of_each(name: str, least: float) -> None:
    assert getattr(SyntheticParams.model_validate({name: least}), name) == least
    below = least - (0.01 if isinstance(getattr(SyntheticParams(), name), float) else 1)
    with pytest.raises(UserError, match=rf"^params\.yaml: synthetic\.{name}: .*{least:g} \(got {below:g}\)$"):
        check(SyntheticParams, {name: below}, file="params.yaml", key="synthetic")


def test_the_smallest_of_all(tmp_path: Path) -> None:
    summary = write_corpus(tmp_path / "corpus", SyntheticParams.model_validate(LEAST))
    assert [summary[split]["videos"] for split in ("train", "val", "test")] == [1, 1, 0]


# --- format ----------------------------------------------------------------------------------------------------------

LTA = """video_uid clip_uid clip_id clip_parent_start_frame clip_parent_end_frame clip_parent_start_sec
 clip_parent_end_sec interval_start_frame interval_end_frame action_clip_start_frame
 action_clip_end_frame action_clip_start_sec
 action_clip_end_sec action_idx"""
MOMENTS = """clip_uid source_clip_uid video_start_sec video_end_sec video_start_frame video_end_frame clip_start_sec
 clip_end_sec"""
SEGMENT = """label start_time end_time primary video_start_time video_end_time video_start_frame video_end_frame"""
WINDOW = "clip_id unique_id video_uid parent_start_frame parent_end_frame"
FULL = f"{WINDOW} clip_uid parent_start_sec parent_end_sec clip_start_frame clip_end_frame"
NARRATION = "timestamp_sec timestamp_frame narration_text annotation_uid"


def keys(rows: Any) -> set[frozenset[str]]:
    return {frozenset(row) for row in rows}


def names(*texts: str) -> set[frozenset[str]]:
    return {frozenset(text.split()) for text in texts}


def test_field_names(small: Corpus) -> None:
    labelled = f"{LTA} verb noun verb_label noun_label"
    assert keys(small.lta("train")) == keys(small.lta("val")) == names(labelled)
    assert keys(small.lta("test_unannotated")) == names(LTA)
    changed = f"{FULL} state_change clip_pnr_frame parent_pnr_frame"
    unchanged = (f"{FULL} state_change pnr_frame", f"{WINDOW} clip_uid state_change pnr_frame")
    for split in ("train", "val"):
        assert keys(row for row in small.windows(split) if row.get("state_change")) == names(changed)
        assert keys(row for row in small.windows(split) if row.get("state_change") is False) == names(*unchanged)
        assert keys(small.moment_clips(split)) == names(f"{MOMENTS} annotations")
        assert keys(row for _, row in small.labels(split)) == names(SEGMENT)
        assert keys(a for clip in small.moment_clips(split) for a in clip["annotations"]) == names(
            "annotator_uid labels"
        )
    assert keys(small.windows("test_unannotated")) == names(f"{WINDOW} parent_start_sec parent_end_sec")
    assert keys(small.moment_clips("test_unannotated")) == names(MOMENTS)
    for entry in small.json("narration").values():
        for number in {"narration_pass_1", "narration_pass_2"} & set(entry):
            assert keys(entry[number]["narrations"]) == names(NARRATION)


def test_labels_agree_with_the_taxonomy(small: Corpus) -> None:
    taxonomy = small.json("fho_lta_taxonomy")
    for row in small.lta("train") + small.lta("val"):
        assert taxonomy["verbs"][row["verb_label"]] == row["verb"]
        assert taxonomy["nouns"][row["noun_label"]] == row["noun"]


def test_frames_fho_floors_moments_round(small: Corpus) -> None:
    for split in SPLITS:
        for row in small.lta(split):
            for name in ("clip_parent_start", "clip_parent_end", "action_clip_start", "action_clip_end"):
                assert row[f"{name}_frame"] == floor(row[f"{name}_sec"] * 30)
        for row in small.windows(split):
            if "parent_start_sec" in row:
                assert row["parent_start_frame"] == floor(row["parent_start_sec"] * 30)
    for clip, row in small.labels("val"):
        assert clip["video_start_frame"] == round(clip["video_start_sec"] * 30)
        assert row["video_end_frame"] == round(row["video_end_time"] * 30)
        assert row["video_end_time"] == pytest.approx(clip["video_start_sec"] + row["end_time"], abs=1e-6)


def test_windows_hold_their_point_of_no_return_and_lengths(small: Corpus) -> None:
    lengths = {
        split: [r["parent_end_frame"] - r["parent_start_frame"] for r in small.windows(split)] for split in SPLITS
    }
    assert all(abs(length - 240) <= 1 for length in lengths["train"])
    assert all(149 <= length <= 241 for split in SPLITS[1:] for length in lengths[split])
    for split in ("train", "val"):
        for row in small.windows(split):
            if row.get("state_change"):
                assert row["parent_start_frame"] <= row["parent_pnr_frame"] < row["parent_end_frame"]
        assert len({row["unique_id"] for row in small.windows(split)}) == len(small.windows(split))


def test_splits_share_no_video(small: Corpus) -> None:
    uids = [{row["video_uid"] for row in small.lta(split)} for split in SPLITS]
    assert sum(map(len, uids)) == len(set.union(*uids)) == len(small.frames)


def test_feature_files(small: Corpus) -> None:
    injured = small.summary["injured"]
    extra = {"short": -3, "partial last row": 1}
    for uid, features in small.features.items():
        assert features.dtype == np.float32
        assert features.shape == (small.frames[uid] // 16 + extra.get(injured.get(uid, ""), 0), 64)
        assert np.isfinite(features).all() == (injured.get(uid) != "nan")
    absent = {uid for uid, kind in injured.items() if kind in ("missing", "truncated")}
    assert set(small.frames) - set(small.features) == absent
