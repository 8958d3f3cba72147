"""Confusions and calibration against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error, multiclass_confusion_matrix

from egopack.report.classes import BINS, SHOWN, calibration, confused


def test_confusions_are_those_of_torchmetrics() -> None:
    generator = np.random.default_rng(0)
    truth, predicted = generator.integers(0, 6, 200), generator.integers(0, 6, 200)
    counts, names = confused(truth, predicted, list("abcdef"))
    order = ["abcdef".index(name) for name in names]
    expected = multiclass_confusion_matrix(torch.from_numpy(predicted), torch.from_numpy(truth), 6).numpy()
    np.testing.assert_array_equal(counts, expected[np.ix_(order, order)])
    assert (np.diff(counts.sum(axis=1)) <= 0).all()


def test_rare_classes_are_one() -> None:
    classes = SHOWN + 5
    truth = np.concatenate([np.repeat(np.arange(SHOWN), 2), np.arange(SHOWN, classes)])
    counts, names = confused(truth, np.roll(truth, 1), [f"c{index}" for index in range(classes)])
    assert names == [f"c{index}" for index in range(SHOWN)] + ["all others"]
    assert counts.shape == (SHOWN + 1, SHOWN + 1)
    assert counts.sum() == len(truth)
    assert counts[-1, -1] == 4  # the first of them is taken for the last frequent one
    assert counts[-1, SHOWN - 1] == 1


def test_calibration_error_is_that_of_torchmetrics() -> None:
    generator = np.random.default_rng(1)
    score = generator.random(500)
    right = generator.random(500) < score**2
    said, was, error = calibration(score, right)
    expected = binary_calibration_error(torch.from_numpy(score), torch.from_numpy(right), n_bins=BINS, norm="l1")
    assert error == pytest.approx(float(expected), abs=1e-6)
    assert (np.diff(said) > 0).all()
    assert len(said) == len(was) == BINS


def test_a_score_of_one_lies_in_the_last_bin() -> None:
    said, was, error = calibration(np.array([1.0, 1.0, 0.0]), np.array([True, False, False]))
    np.testing.assert_allclose(said, [0, 1])
    np.testing.assert_allclose(was, [0, 0.5])
    assert error == pytest.approx(1 / 3)
