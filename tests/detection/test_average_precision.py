"""Detection metrics against the fixtures and brute force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egopack.detection.average_precision import (
    GroundTruth,
    Predictions,
    average_precision,
    recall_class_mean,
    recall_pooled,
)
from tests.support import detection_oracles as oracles

MODULES = Path(__file__).parents[1] / "parity" / "modules"
TIOU = (0.1, 0.5, 1.0)
Case = tuple[GroundTruth, Predictions]


def build(truth: list[Any], predictions: list[Any]) -> Case:
    """From rows (video, label, start, length) and (video, label, start, length, score)."""
    g = np.array(truth, dtype=np.float64).reshape(-1, 4)
    p = np.array(predictions, dtype=np.float64).reshape(-1, 5)
    columns = [
        (rows[:, 0].astype(np.int64), np.stack([rows[:, 2], rows[:, 2] + rows[:, 3]], 1), rows[:, 1].astype(np.int64))
        for rows in (g, p)
    ]
    return GroundTruth(*columns[0]), Predictions(*columns[1], p[:, 4])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Few places, lengths (0 too), scores, videos and classes: ties and exact thresholds abound."""
    row = (st.sampled_from([-5, 0, 3]), st.sampled_from([1, 2, 40]), st.integers(0, 6), st.integers(0, 4))
    truth = draw(st.lists(st.tuples(*row), max_size=8))
    predictions = draw(st.lists(st.tuples(*row, st.integers(0, 4)), max_size=20))
    return build(truth, predictions)


def load(name: str) -> tuple[Case, dict[str, Any], dict[str, Any]]:
    data = np.load(MODULES / name, allow_pickle=False)
    truth = GroundTruth(data["in/gt_video"], data["in/gt_segments"], data["in/gt_labels"])
    predictions = Predictions(data["in/video"], data["in/segments"], data["in/labels"], data["in/scores"])
    return (truth, predictions), json.loads(str(data["meta"])), {k[4:]: data[k] for k in data if k.startswith("out/")}


def test_published_fixture() -> None:
    case, meta, out = load("detection_map.npz")
    found = average_precision(*case, meta["tiou"])
    np.testing.assert_allclose(found.per_tiou, out["map"], atol=1e-12)
    assert found.average == pytest.approx(float(out["average_map"]), abs=1e-12)
    recall = recall_class_mean(*case, meta["tiou"], meta["recall_at"])
    np.testing.assert_allclose(recall, out["recall"], atol=1e-12)


def test_official_fixture() -> None:
    case, meta, out = load("detection_official.npz")
    found = average_precision(*case, meta["tiou"])
    assert meta["absent_class"] in case[1].labels
    assert found.classes.tolist() == out["ap_class"].tolist()
    np.testing.assert_allclose(found.values, out["ap"], atol=1e-12)
    np.testing.assert_allclose(found.per_tiou, out["map"], atol=1e-12)
    assert found.average == pytest.approx(float(out["average_map"]), abs=1e-12)
    recall = recall_pooled(*case, meta["recall_tiou"], meta["recall_at"])
    np.testing.assert_allclose(recall, out["recall"], atol=1e-12)


@settings(deadline=None, max_examples=300)
@given(cases())
def test_average_precision_equals_brute_force(case: Case) -> None:
    found = average_precision(*case, TIOU)
    assert found.classes.tolist() == sorted(set(case[0].labels.tolist()))
    np.testing.assert_allclose(found.values, oracles.average_precision(*case, TIOU), atol=1e-12)


@settings(deadline=None, max_examples=150)
@given(cases())
def test_recall_equals_brute_force(case: Case) -> None:
    for pooled, compute in ((True, recall_pooled), (False, recall_class_mean)):
        expected = oracles.recall(*case, TIOU, (1, 3), pooled)
        np.testing.assert_allclose(compute(*case, TIOU, (1, 3)), expected, atol=1e-12)


def test_a_score_tie_goes_to_the_earlier_prediction() -> None:
    hit, miss = (0, 1, 0, 10, 0.5), (0, 1, 50, 10, 0.5)
    assert average_precision(*build([(0, 1, 0, 10)], [hit, miss]), [0.5]).average == 1.0
    assert average_precision(*build([(0, 1, 0, 10)], [miss, hit]), [0.5]).average == 0.5


def test_an_iou_tie_takes_the_earlier_ground_truth() -> None:
    predictions = [(0, 1, 0, 10, 0.9), (0, 1, 5, 5, 0.8)]
    assert average_precision(*build([(0, 1, 0, 5), (0, 1, 5, 5)], predictions), [0.5]).average == 1.0
    assert average_precision(*build([(0, 1, 5, 5), (0, 1, 0, 5)], predictions), [0.5]).average == 0.5


def test_a_taken_ground_truth_leaves_the_next_best() -> None:
    truth = [(0, 1, 0, 10), (0, 1, 1, 10)]
    case = build(truth, [(0, 1, 0, 10, 0.9), (0, 1, 0, 10, 0.8), (0, 1, 0, 10, 0.7)])
    assert average_precision(*case, [0.5]).average == 1.0


def test_the_two_recalls_differ_at_the_threshold_and_in_the_mean() -> None:
    case = build([(0, 1, 0, 10), (0, 2, 0, 8), (1, 2, 0, 8)], [(0, 1, 0, 5, 0.9), (0, 2, 0, 8, 0.9)])
    assert recall_pooled(*case, [0.5], [1]).tolist() == [[pytest.approx(1 / 3)]]
    assert recall_class_mean(*case, [0.5], [1]).tolist() == [[pytest.approx((1 + 1 / 2) / 2)]]


def test_an_absent_class_takes_no_part() -> None:
    truth, kept = [(0, 1, 0, 10), (0, 3, 20, 10)], [(0, 1, 0, 10, 0.5), (0, 3, 20, 10, 0.5)]
    stray = [(0, 2, 0, 10, 0.9), (0, 4, 20, 10, 0.9), (0, 0, 20, 10, 0.9)]
    found = average_precision(*build(truth, kept + stray), [0.5])
    assert found.classes.tolist() == [1, 3]
    assert found.average == 1.0
    assert recall_class_mean(*build(truth, kept + stray), [0.5], [1]).item() == 1.0


def test_a_prediction_in_another_video_is_a_false_positive() -> None:
    case = build([(0, 1, 0, 10)], [(7, 1, 0, 10, 0.9), (0, 1, 0, 10, 0.5)])
    assert average_precision(*case, [0.5]).average == 0.5


def test_without_predictions_everything_is_zero() -> None:
    case = build([(0, 1, 0, 10)], [])
    assert average_precision(*case, TIOU).per_tiou.tolist() == [0, 0, 0]
    assert recall_pooled(*case, TIOU).tolist() == recall_class_mean(*case, TIOU).tolist() == [[0, 0]] * 3


def test_without_ground_truth_nothing_is_defined() -> None:
    case = build([], [(0, 1, 0, 10, 0.5)])
    found = average_precision(*case, TIOU)
    assert found.values.shape == (3, 0)
    assert np.isnan(found.per_tiou).all()
    assert np.isnan(found.average)
    assert np.isnan(recall_pooled(*case, TIOU)).all()
    assert np.isnan(recall_class_mean(*case, TIOU)).all()


def test_row_order_does_not_matter() -> None:
    (truth, predictions), meta, _ = load("detection_official.npz")
    expected = average_precision(truth, predictions, meta["tiou"])
    rows = np.random.default_rng(0).permutation(len(predictions.scores))
    columns = (predictions.video, predictions.segments, predictions.labels, predictions.scores)
    shuffled = Predictions(*(column[rows] for column in columns))
    assert np.array_equal(average_precision(truth, shuffled, meta["tiou"]).values, expected.values)


V, S = np.zeros(2, dtype=np.int64), np.array([[0.0, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize(
    ("columns", "error", "text"),
    [
        ((V, S[:1], V, [0.1, 0.2]), ValueError, r"segments: expected shape \[2, 2\], got \[1, 2\]"),
        ((V, S, V[:1], [0.1, 0.2]), ValueError, r"labels: has 1 rows, video has 2"),
        ((V, S, V, [0.1]), ValueError, r"scores: expected shape \[2\], got \[1\]"),
        ((V, S, V, [0.1, np.nan]), ValueError, r"scores: row 1 is not finite"),
        ((V, S + np.inf, V, [0.1, 0.2]), ValueError, r"segments: row 0 is not finite"),
        ((V, S, V * 0.5, [0.1, 0.2]), TypeError, r"labels: expected integers, got float64"),
        ((V[None], S, V, [0.1, 0.2]), ValueError, r"video: expected a vector, got shape \[1, 2\]"),
        ((V, np.array([["a", "b"]] * 2), V, [0.1, 0.2]), TypeError, r"segments: expected numbers"),
        ((V, S[:, ::-1], V, [0.1, 0.2]), ValueError, r"segments: row 0 ends before it starts"),
    ],
)
def test_bad_columns(columns: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        average_precision(GroundTruth(V, S, V), Predictions(*columns), [0.5])


@pytest.mark.parametrize("tiou", [[], [0.0], [1.5], [float("nan")]])
def test_bad_thresholds(tiou: list[float]) -> None:
    for compute in (average_precision, recall_pooled, recall_class_mean):
        with pytest.raises(ValueError, match="tiou: expected thresholds in"):
            compute(*build([], []), tiou)


@pytest.mark.parametrize("top", [[], [0], [1, -2]])
def test_bad_ranks(top: list[int]) -> None:
    with pytest.raises(ValueError, match="top: expected positive whole numbers"):
        recall_pooled(*build([], []), [0.5], top)


def test_of_equal_scores_the_earlier_prediction_counts() -> None:
    """Many of two scores, as sorting keeps the order of few, or of one score, anyway."""
    truth = GroundTruth(np.zeros(1, int), np.array([[0.0, 1.0]]), np.zeros(1, int))
    count = 500
    for seed in range(20):
        scores = np.random.default_rng(seed).choice([0.5, 0.9], count)
        best = np.flatnonzero(scores == 0.9)
        for place, expected in ((best[0], 1.0), (best[-1], 0.0)):
            segments = np.tile([5.0, 6.0], (count, 1))
            segments[place] = 0.0, 1.0
            found = Predictions(np.zeros(count, int), segments, np.zeros(count, int), scores)
            assert recall_pooled(truth, found, [0.5], [1]).item() == expected
            precision = average_precision(truth, found, [0.5]).average
            assert precision == pytest.approx(1.0 if expected else 1 / len(best))
