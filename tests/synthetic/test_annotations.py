"""The built-in corpus has the oddities of the real files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egopack.params import SyntheticParams
from tests.support.synthetic_corpus import SMALL, SPLITS, Corpus


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("small") / "corpus", SMALL)


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("default") / "corpus", SyntheticParams())


def _swapped(corpus: Corpus) -> bool:
    rows = corpus.lta("train")
    order = sorted(rows, key=lambda r: (r["clip_uid"], r["action_idx"]))
    pairs = [(a, b) for a, b in pairwise(order) if a["clip_uid"] == b["clip_uid"]]
    return any(a["action_clip_start_frame"] > b["action_clip_start_frame"] for a, b in pairs)


def _overlap(corpus: Corpus) -> bool:
    starts: dict[str, list[int]] = {}
    for row in corpus.lta("train"):
        starts.setdefault(row["clip_uid"], []).append(row["action_clip_start_frame"])
    gaps = np.concatenate([np.diff(sorted(s)) for s in starts.values()])
    return bool(np.mean(gaps < 240) > 0.5)


def _mixed_overlap(corpus: Corpus) -> bool:
    rows = [row for row in corpus.windows("train") if row.get("state_change") is not None]
    return any(
        a["state_change"] and not b["state_change"] and a["video_uid"] == b["video_uid"]
        and max(a["parent_start_frame"], b["parent_start_frame"]) < min(a["parent_end_frame"], b["parent_end_frame"])
        for a in rows for b in rows
    )  # fmt: skip


def _segments(corpus: Corpus, split: str) -> list[tuple[str, int, int, str]]:
    return [(c["clip_uid"], r["video_start_frame"], r["video_end_frame"], r["label"]) for c, r in corpus.labels(split)]


def _near(corpus: Corpus) -> bool:
    rows = _segments(corpus, "val")
    return any(
        a[0] == b[0] and a[3] == b[3] and 0 < abs(a[1] - b[1]) + abs(a[2] - b[2]) < 0.2 * (a[2] - a[1])
        for a in rows for b in rows
    )  # fmt: skip


def _unsorted(corpus: Corpus) -> bool:
    passes = [
        entry[key]["narrations"] for entry in corpus.json("narration").values() for key in entry if key != "status"
    ]
    times = [[row["timestamp_sec"] for row in said] for said in passes]
    return any(t != sorted(t) for t in times)


def _past_last_row(corpus: Corpus) -> bool:
    return any(
        row["clip_parent_end_frame"] // 16 > len(corpus.features[row["video_uid"]])
        for split in SPLITS for row in corpus.lta(split) if row["video_uid"] in corpus.features
    )  # fmt: skip


def _passes(corpus: Corpus) -> list[set[str]]:
    return [set(entry) - {"status"} for entry in corpus.json("narration").values()]


QUIRKS: dict[str, Callable[[Corpus], Any]] = {
    "action starts before its clip": lambda c: any(r["action_clip_start_frame"] < 0 for r in c.lta("val")),
    "action ends past its clip": lambda c: any(
        r["clip_parent_start_frame"] + r["action_clip_end_frame"] > r["clip_parent_end_frame"] for r in c.lta("val")
    ),
    "action_idx not in order of start": _swapped,
    "rows of a file not in order of action_idx": lambda c: (
        [r["action_idx"] for r in c.lta("val")] != sorted(r["action_idx"] for r in c.lta("val"))
    ),
    "segments overlap heavily": _overlap,
    "clip_id int in LTA, string in OSCC": lambda c: (
        all(type(r["clip_id"]) is int for r in c.lta("val"))
        and all(type(r["clip_id"]) is str for r in c.windows("val"))
    ),
    "clip_uid null": lambda c: any(r["clip_uid"] is None for r in c.windows("val")),
    "state_change null": lambda c: any(r.get("state_change", 0) is None for r in c.windows("val")),
    "state_change missing": lambda c: any("state_change" not in r for r in c.windows("train")),
    "both answers": lambda c: {True, False} <= {r.get("state_change") for r in c.windows("val")},
    "windows with and without a change overlap": _mixed_overlap,
    "several windows share a clip_id": lambda c: (
        np.mean(list(Counter(r["clip_id"] for r in c.windows("val")).values())) > 3
    ),
    "unique_id of another shape in test": lambda c: (
        all(re.fullmatch(r"[0-9a-f-]{36}-\d+_\d\d-\d+_\d\d", r["unique_id"]) for r in c.windows("val"))
        and all(re.fullmatch(r"[0-9a-f]{32}_\d+", r["unique_id"]) for r in c.windows("test_unannotated"))
    ),
    "clip_pnr_frame misleads": lambda c: (
        len(
            {
                (r["video_uid"], r["parent_pnr_frame"] - r["clip_pnr_frame"])
                for r in c.windows("train")
                if r.get("state_change")
            }
        )
        > 2 * len({r["video_uid"] for r in c.windows("train")})
    ),
    "three annotators": lambda c: {len(clip["annotations"]) for clip in c.moment_clips("val")} == {3},
    "near duplicates": _near,
    "exact duplicates": lambda c: max(Counter(_segments(c, "val")).values()) > 1,
    "not primary": lambda c: any(not row["primary"] for _, row in c.labels("val")),
    "zero length": lambda c: any(row["start_time"] == row["end_time"] for _, row in c.labels("val")),
    "end just past the clip": lambda c: any(
        row["end_time"] == pytest.approx(clip["clip_end_sec"] + 0.02, abs=1e-6) for clip, row in c.labels("val")
    ),
    "ints among floats": lambda c: {int, float} <= {type(row["start_time"]) for _, row in c.labels("train")},
    "seven labels with commas and quotes": lambda c: (
        len({r["label"] for _, r in c.labels("train") if re.fullmatch('".*,.*"', r["label"])}) == 7
    ),
    "clip starts before the video": lambda c: any(clip["video_start_sec"] < 0 for clip in c.moment_clips("val")),
    "a narration pass is missing": lambda c: any(len(passes) == 1 for passes in _passes(c)),
    "a video has no narration": lambda c: len(c.json("narration")) < len(c.frames),
    "narrations not sorted": _unsorted,
    "clip ends past the last feature row": _past_last_row,
    "features missing": lambda c: "missing" in c.summary["injured"].values(),
    "features with NaN": lambda c: any(np.isnan(f).any() for f in c.features.values()),
    "a last row of half a window": lambda c: any(len(f) > c.frames[u] // 16 for u, f in c.features.items()),
}


@pytest.mark.parametrize("name", QUIRKS)
@pytest.mark.parametrize("size", ["small", "default"])
def test_quirk(name: str, size: str, request: pytest.FixtureRequest) -> None:
    assert QUIRKS[name](request.getfixturevalue(size))


def test_truncated_file_cannot_be_read(small: Corpus) -> None:
    (uid,) = [uid for uid, kind in small.summary["injured"].items() if kind == "truncated"]
    with pytest.raises((RuntimeError, EOFError, OSError)):
        torch.load(small.root / "features" / "egovlp" / f"{uid}.pt", weights_only=True)


def test_no_quirks_at_rate_zero(tmp_path: Path) -> None:
    plain = SMALL.model_copy(
        update={"quirk_rate": 0.0, "missing_features": 0, "truncated_features": 0, "nan_features": 0}
    )
    corpus = Corpus(tmp_path / "corpus", plain)
    assert corpus.summary["injured"] == {}
    assert set(corpus.frames) == set(corpus.features)
    assert all(row.get("state_change") in (True, False) for row in corpus.windows("train"))
    absent = ["zero length", "clip starts before the video", "state_change null"]
    absent += ["a narration pass is missing", "a video has no narration", "a last row of half a window"]
    for name in absent:
        assert not QUIRKS[name](corpus), name


def test_most_of_a_small_corpus_stays_usable(tmp_path: Path) -> None:
    tiny = SMALL.model_copy(
        update={"train_videos": 3, "val_videos": 1, "test_videos": 0, "missing_features": 5, "truncated_features": 5}
    )
    corpus = Corpus(tmp_path / "corpus", tiny)
    for split in ("train", "val"):
        uids = {row["video_uid"] for row in corpus.lta(split)}
        assert 2 * sum(corpus.summary["injured"].get(uid) in ("missing", "truncated", "nan") for uid in uids) < len(
            uids
        )
