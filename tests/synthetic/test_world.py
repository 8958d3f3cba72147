"""The tasks of the built-in corpus are neither hopeless nor trivial: least squares on what they see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from egopack.params import SyntheticParams
from tests.support.synthetic_corpus import SPLITS, Corpus


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("default") / "corpus", SyntheticParams())


Table = tuple[np.ndarray, np.ndarray]


def probe(train: np.ndarray, targets: np.ndarray, val: np.ndarray) -> np.ndarray:
    """Ridge regression: scores of the validation rows."""
    mean, scale = train.mean(axis=0), train.std(axis=0) + 1e-9
    a = np.hstack([(train - mean) / scale, np.ones((len(train), 1))])
    weights = np.linalg.solve(a.T @ a + 10 * np.eye(a.shape[1]), a.T @ targets)
    return np.hstack([(val - mean) / scale, np.ones((len(val), 1))]) @ weights


def accuracy(train: Table, val: Table, classes: int, columns: Any = slice(None)) -> float:
    scores = probe(train[0][:, columns], np.eye(classes)[train[1]], val[0][:, columns])
    return float((scores.argmax(axis=1) == val[1]).mean())


def best_column(train: Table, val: Table, classes: int) -> float:
    """Accuracy of the column that tells most on the training split."""
    return max((accuracy(train, train, classes, [c]), accuracy(train, val, classes, [c])) for c in range(64))[1]


def frequent(val: Table) -> float:
    """Accuracy of always saying the most frequent label."""
    return float(np.bincount(val[1]).max() / len(val[1]))


def segments(corpus: Corpus, rows: list[tuple[str, int, int, int]]) -> Table:
    """Mean features and label of (video, first frame, last frame, label)."""
    kept = []
    for uid, start, end, label in rows:
        features = corpus.features.get(uid)
        if features is not None and len(part := features[max(start // 16, 0) : end // 16]) and np.isfinite(part).all():
            kept.append((part.mean(axis=0), label))
    return np.array([mean for mean, _ in kept]), np.array([label for _, label in kept])


def actions(corpus: Corpus, split: str, label: str) -> Table:
    first = "clip_parent_start_frame"
    rows = [
        (r["video_uid"], r[first] + r["action_clip_start_frame"], r[first] + r["action_clip_end_frame"], r[label])
        for r in corpus.lta(split)
    ]
    return segments(corpus, rows)


def changes(corpus: Corpus, split: str) -> Table:
    rows = [r for r in corpus.windows(split) if r.get("state_change") is not None]
    return segments(
        corpus, [(r["video_uid"], r["parent_start_frame"], r["parent_end_frame"], int(r["state_change"])) for r in rows]
    )


@pytest.mark.parametrize(("label", "classes"), [("verb_label", 20), ("noun_label", 30)])
def test_actions_are_visible_in_all_columns_but_not_in_one(default: Corpus, label: str, classes: int) -> None:
    train, val = actions(default, "train", label), actions(default, "val", label)
    chance = frequent(val)
    assert chance < 0.2
    assert 0.38 < accuracy(train, val, classes) < 0.7
    assert best_column(train, val, classes) < chance + 0.06


def test_state_changes_are_visible_in_all_columns_but_not_in_one(default: Corpus) -> None:
    train, val = changes(default, "train"), changes(default, "val")
    assert 0.45 < frequent(val) < 0.6
    assert 0.65 < accuracy(train, val, 2) < 0.85
    assert best_column(train, val, 2) < min(frequent(val) + 0.1, accuracy(train, val, 2) - 0.08)


def test_point_of_no_return_is_visible(default: Corpus) -> None:
    """A linear score per row finds it within a second in most windows; the middle of the window does not."""
    windows: dict[str, list[tuple[np.ndarray, np.ndarray, float]]] = {"train": [], "val": []}
    for split, found in windows.items():
        for row in default.windows(split):
            features = default.features.get(row["video_uid"])
            first, last = row["parent_start_frame"] // 16, row["parent_end_frame"] // 16
            if row.get("state_change") and features is not None and last <= len(features):
                seconds = (np.arange(first, last) * 16 + 8 - row["parent_pnr_frame"]) / 30
                middle = (row["parent_start_frame"] + row["parent_end_frame"]) / 2 - row["parent_pnr_frame"]
                if np.isfinite(features[first:last]).all():
                    found.append((features[first:last], seconds, abs(middle) / 30))
    train = np.concatenate([features for features, _, _ in windows["train"]])
    near = np.concatenate([np.abs(seconds) < 0.5 for _, seconds, _ in windows["train"]]).astype(float)
    errors = [abs(seconds[probe(train, near, rows).argmax()]) for rows, seconds, _ in windows["val"]]
    middle = np.mean([distance for _, _, distance in windows["val"]])
    assert np.median(errors) < 1.0
    assert 0.3 < np.mean(errors) < 0.75 * middle


def test_moments_are_visible(default: Corpus) -> None:
    def table(split: str) -> Table:
        return segments(default, [
            (uid, row["video_start_frame"], row["video_end_frame"], known.index(row["label"]))
            for uid, row in ((owner[clip["clip_uid"]], row) for clip, row in default.labels(split)) if row["primary"]
        ])  # fmt: skip

    known = sorted({row["label"] for split in ("train", "val") for _, row in default.labels(split)})
    owner = {
        c["clip_uid"]: v["video_uid"]
        for s in SPLITS[:2]
        for v in default.json(f"moments_{s}")["videos"]
        for c in v["clips"]
    }
    train, val = table("train"), table("val")
    assert len(known) == 20
    assert 2.5 * frequent(val) < accuracy(train, val, 20) < 0.9


def test_moments_have_many_scales(default: Corpus) -> None:
    lengths = np.array([row["end_time"] - row["start_time"] for _, row in default.labels("train")])
    assert (lengths <= 66).all()
    for low, high in ((1, 5), (5, 12), (12, 25), (25, 66)):
        assert np.mean((lengths > low) & (lengths <= high)) > 0.08


def test_next_verb_follows_the_grammar(default: Corpus) -> None:
    """Cross-entropy (bits) on val of the next verb given the last, by counts of train, against label frequencies."""

    def pairs(split: str) -> np.ndarray:
        counts = np.zeros((20, 20))
        clips: dict[str, list[tuple[int, int]]] = {}
        for row in default.lta(split):
            clips.setdefault(row["clip_uid"], []).append((row["action_idx"], row["verb_label"]))
        for rows in clips.values():
            verbs = [verb for _, verb in sorted(rows)]
            np.add.at(counts, (verbs[:-1], verbs[1:]), 1)
        return counts

    train, val = pairs("train"), pairs("val")
    marginal = (train.sum(axis=0) + 1) / (train.sum() + 20)
    conditional = (train + 10 * marginal) / (train.sum(axis=1, keepdims=True) + 10)
    alone = -(val * np.log2(marginal)).sum() / val.sum()
    given = -(val * np.log2(conditional)).sum() / val.sum()
    assert alone > 3.5
    assert given < alone - 0.4
