"""Sparse matrices against dense ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egopack.data.sparse import Groups, Rows, group_means, padded, range_means, selection


def dense(rows: Rows, columns: int) -> np.ndarray:
    starts = rows.row_start.tolist()
    out = np.zeros((len(starts) - 1, columns))
    weight = torch.ones(len(rows.column)) if rows.weight is None else rows.weight
    for row, (first, last) in enumerate(pairwise(starts)):
        for entry in range(first, last):
            out[row, rows.column[entry]] += float(weight[entry])
    return out


@settings(deadline=None)
@given(index=st.lists(st.integers(0, 6), max_size=9))
def test_a_selection_and_its_transpose(index: list[int]) -> None:
    matrix = selection(np.array(index, dtype=np.int64), 7)
    found = dense(matrix.rows, 7)
    np.testing.assert_array_equal(found, np.eye(7)[index].reshape(-1, 7))
    np.testing.assert_array_equal(dense(matrix.back, len(index)), found.T)
    np.testing.assert_array_equal(matrix.back.column, np.argsort(index, kind="stable"))
    np.testing.assert_array_equal(matrix.order, np.argsort(index, kind="stable"))


@settings(deadline=None)
@given(ranges=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6))
def test_means_of_ranges(ranges: list[tuple[int, int]]) -> None:
    first, last = np.array([min(one) for one in ranges], int), np.array([max(one) for one in ranges], int)
    matrix = range_means(first, last, 5)
    expected = np.zeros((len(ranges), 5))
    for row, (low, high) in enumerate(zip(first, last, strict=True)):
        expected[row, low:high] = 1 / max(high - low, 1)
    np.testing.assert_allclose(dense(matrix.rows, 5), expected, atol=1e-6)
    np.testing.assert_allclose(dense(matrix.back, len(ranges)), expected.T, atol=1e-6)


def test_means_of_groups_in_any_order() -> None:
    group = np.array([1, 0, 3, 1, 0, 1])
    matrix = group_means(group, 4)
    found = dense(matrix.rows, 6)
    np.testing.assert_allclose(found, [(group == one) / max((group == one).sum(), 1) for one in range(4)], atol=1e-6)
    np.testing.assert_allclose(dense(matrix.back, 4), found.T)


def test_padded_rows_repeat_the_first() -> None:
    assert padded(np.array([2, 1, 3])).tolist() == [[0, 1, 0], [2, 2, 2], [3, 4, 5]]
    assert padded(np.array([], int)).shape == (0, 0)


def test_groups_are_prepared_once() -> None:
    groups = Groups(torch.tensor([0, 1, 1]), 2)
    ready = groups.prepared()
    assert groups.sums is None
    assert ready.prepared() is ready
    assert ready.sums is not None
    np.testing.assert_array_equal(dense(ready.sums.owner.rows, 2), [[1, 0], [0, 1], [0, 1]])
    assert ready.sums.padded.rows.column.tolist() == [0, 0, 1, 2]
