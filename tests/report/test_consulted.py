"""Whether what is consulted fits what happens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from egopack.data.samples import Sample
from egopack.labels import UNLABELLED
from egopack.report.consulted import actions_at, favorites, fit
from egopack.report.results import TaskResults
from tests.support import small

STEP = small.GRID.stride / small.GRID.fps


def known() -> TaskResults:
    segments = np.array([[0, 4], [1, 2], [6, 8]], np.float32)
    targets = {"verbs": np.array([1, 2, 3]), "nouns": np.array([3, 2, UNLABELLED])}
    sample = Sample("c", "v", np.arange(10, 20), small.GRID.positions(10), targets, segments)
    return TaskResults("ar", [sample], small.LABELS["ar"], {}, {})


def test_the_shortest_action_at_that_time() -> None:
    second = np.array([0.5, 1.5, 3.5, 5.0, 7.0]) + 10 * STEP
    table = pd.DataFrame({"video_uid": ["v"] * 5 + ["other"], "second": [*second, second[0]]})
    truth = actions_at(table, known(), small.GRID)
    none = [UNLABELLED, UNLABELLED]
    assert truth.tolist() == [[1, 3], [2, 2], [1, 3], none, [3, UNLABELLED], none]


def test_fits_where_truth_is_known_and_by_chance() -> None:
    consulted = np.array([[1, 3], [2, 3], [1, 2], [1, 3], [0, 0]])
    truth = np.array([[1, 3], [1, 3], [2, 2], [1, 3], [3, UNLABELLED]])
    found = fit(consulted, truth)
    assert found.count == 4
    assert found.right == pytest.approx((50, 100, 50))
    # shares of verbs 1, 2: .75, .25 and .75, .25; of nouns 2, 3: .25, .75 and .25, .75; of (1, 3) .5 and .75
    assert found.chance == pytest.approx((62.5, 62.5, 37.5))


def test_nothing_is_known_of_what_is_unlabelled() -> None:
    found = fit(np.zeros((2, 2), np.int64), np.full((2, 2), UNLABELLED))
    assert found.count == 0
    assert np.isnan(found.right).all()


def test_pairs_that_are_consulted_most() -> None:
    pairs = np.array([[0, 0], [1, 2], [4, 5]])
    assert favorites(np.array([1, 1, 1, 2]), pairs, known()) == "b h 75.0, e k 25.0"
