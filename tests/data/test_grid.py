from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egopack.data.grid import Grid

strides = st.integers(1, 40)


@given(stride=strides, start=st.integers(-100, 500), length=st.integers(0, 500), available=st.integers(0, 60))
def test_rows_are_those_that_begin_inside_the_clip(stride: int, start: int, length: int, available: int) -> None:
    end = start + length
    expected = [row for row in range(available) if start // stride <= row <= end // stride - 1]
    rows = Grid(stride, 30.0).rows(start, end, available)
    assert rows.dtype == np.int64
    assert rows.tolist() == expected


@given(stride=strides, start=st.integers(0, 500), frame=st.integers(0, 1000), fps=st.sampled_from([25.0, 30.0, 29.97]))
def test_an_event_sits_where_its_frame_is_on_the_rows(stride: int, start: int, frame: int, fps: float) -> None:
    grid = Grid(stride, fps)
    first_row = start // stride
    expected = (frame - first_row * stride) / fps  # second 0 is where the first row starts
    assert grid.seconds(frame, start) == pytest.approx(expected, abs=1e-9)


def test_the_clip_starts_at_its_remainder() -> None:
    assert Grid(16, 30.0).seconds(np.array([100, 130]), 100).tolist() == [4 / 30, 34 / 30]


@given(stride=strides, count=st.integers(0, 30), offset=st.sampled_from([0.0, 0.5]))
def test_positions(stride: int, count: int, offset: float) -> None:
    positions = Grid(stride, 30.0).positions(count, offset)
    assert positions.dtype == np.float32
    np.testing.assert_allclose(positions, [(offset + i) * stride / 30.0 for i in range(count)], rtol=1e-6)


def test_a_negative_start_begins_at_row_zero() -> None:
    assert Grid(16, 30.0).rows(-40, 50, 100).tolist() == [0, 1, 2]
