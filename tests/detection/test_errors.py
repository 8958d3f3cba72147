"""Kinds of errors against DETAD's rules written down one prediction at a time, and against average precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from egopack.detection.average_precision import GroundTruth, Predictions, average_precision, true_positives
from egopack.detection.errors import (
    KINDS,
    LEAST,
    best_predictions,
    by_length,
    error_kinds,
    gains,
    precision_over_recall,
    profile,
    take,
)
from tests.detection.test_average_precision import Case, build, cases


def iou(a: np.ndarray, b: np.ndarray) -> float:
    shared = min(a[1], b[1]) - max(a[0], b[0])
    return shared / (a[1] - a[0] + b[1] - b[0] - shared) if shared > 0 else 0.0


def one_by_one(truth: GroundTruth, predictions: Predictions, tiou: float) -> list[str]:
    """DETAD's rules, slowly."""
    kinds, taken = ["background"] * len(predictions.video), set()
    for row in np.argsort(-predictions.scores, kind="stable"):
        own = [index for index in range(len(truth.video)) if truth.video[index] == predictions.video[row]]
        found = {index: iou(predictions.segments[row], truth.segments[index]) for index in own}
        free = [index for index in own if truth.labels[index] == predictions.labels[row] and index not in taken]
        free = sorted((index for index in free if found[index] >= tiou), key=lambda index: -found[index])
        if free:
            taken.add(free[0])
            kinds[row] = "true positive"
        elif own:
            most = max(own, key=lambda index: found[index])
            same = truth.labels[most] == predictions.labels[row]
            if found[most] >= tiou:
                kinds[row] = "double detection" if same else "wrong label"
            elif found[most] >= LEAST:
                kinds[row] = "localization" if same else "confusion"
    return kinds


@settings(deadline=None, max_examples=150)
@given(cases())
def test_kinds_are_those_of_the_rules(case: Case) -> None:
    truth, predictions = case
    found = [KINDS[kind] for kind in error_kinds(truth, predictions, 0.5)]
    assert found == one_by_one(truth, predictions, 0.5)


def test_one_of_each_kind() -> None:
    truth, predictions = build(
        [(0, 1, 0, 10), (0, 2, 20, 10)],
        [(0, 1, 0, 10, 9), (0, 1, 1, 9, 8), (0, 3, 20, 9, 7), (0, 1, 7, 6, 6), (0, 1, 27, 6, 5), (0, 1, 50, 9, 4)],
    )
    assert [KINDS[kind] for kind in error_kinds(truth, predictions, 0.5)] == list(KINDS)


def test_true_positives_give_the_average_precision() -> None:
    generator = np.random.default_rng(0)
    truth, predictions = random_case(generator)
    for tiou in (0.3, 0.5):
        found, values = true_positives(truth, predictions, [tiou])[0], []
        for label in np.unique(truth.labels):
            rows = np.flatnonzero(predictions.labels == label)
            hits = found[rows[np.argsort(-predictions.scores[rows], kind="stable")]]
            precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
            best = np.maximum.accumulate(precision[::-1])[::-1]
            values.append((best * hits).sum() / (truth.labels == label).sum())
        assert np.mean(values) == pytest.approx(average_precision(truth, predictions, [tiou]).average, abs=1e-12)


def random_case(generator: np.random.Generator, count: int = 300) -> Case:
    start = generator.uniform(0, 100, 60)
    truth = np.stack([np.arange(60) % 5, generator.integers(0, 4, 60), start, generator.uniform(1, 20, 60)], 1)
    near = truth[generator.integers(0, 60, count)]
    near = near + np.stack([np.zeros(count), np.zeros(count), *generator.normal(0, 2, (2, count))], 1)
    near[:, 3] = np.abs(near[:, 3]) + 0.1
    return build(truth.tolist(), np.column_stack([near, generator.random(count)]).tolist())


def test_area_under_precision_over_recall_is_the_average_precision() -> None:
    truth, predictions = random_case(np.random.default_rng(1))
    recall = np.linspace(0, 1, 20001)[1:]
    area = precision_over_recall(truth, predictions, 0.5, recall).mean()
    assert area == pytest.approx(average_precision(truth, predictions, [0.5]).average, abs=1e-3)


def test_the_best_of_each_class_by_turns() -> None:
    truth, predictions = random_case(np.random.default_rng(2))
    rows, turn = best_predictions(truth, predictions, 2)
    for label in np.unique(truth.labels):
        count = int((truth.labels == label).sum())
        own = predictions.labels[rows] == label
        scores = predictions.scores[rows[own]]
        assert (np.diff(scores) <= 0).all()
        assert len(scores) == min(2 * count, int((predictions.labels == label).sum()))
        assert (turn[own] == np.arange(len(scores)) // count).all()
    shares = profile(error_kinds(truth, take(predictions, rows), 0.5), turn, 2)
    np.testing.assert_allclose(shares.sum(axis=0), 100)


def test_what_no_error_of_a_kind_would_gain() -> None:
    truth, predictions = build(
        [(0, 1, 0, 10)], [(0, 1, 50, 5, 9), (0, 1, 0, 10, 8)]
    )  # a false alarm stands before what is right
    found = gains(truth, predictions, error_kinds(truth, predictions, 0.5), 0.5)
    assert found == {kind: pytest.approx(50.0 if kind == "background" else 0.0) for kind in KINDS[1:]}


def test_lengths_share_out_what_is_found() -> None:
    truth, predictions = build([(0, 1, 0, 2), (0, 1, 50, 20)], [(0, 1, 50, 20, 9), (0, 1, 0, 2, 8)])
    edges = np.array([0, 10, np.inf])
    # each is found first in its own length, though the short one stands second in all
    np.testing.assert_allclose(by_length(truth, predictions, edges, 0.5), [100, 100])
    lone = Predictions(*(column[:1] for column in (predictions.video, predictions.segments, predictions.labels)), [0.5])
    np.testing.assert_allclose(by_length(truth, lone, edges, 0.5), [0, 100])
    whole = by_length(*random_case(np.random.default_rng(3)), np.array([0, np.inf]), 0.5)
    assert whole[0] == pytest.approx(100 * average_precision(*random_case(np.random.default_rng(3)), [0.5]).average)
