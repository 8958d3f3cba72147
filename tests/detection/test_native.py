"""The compiled module's own checks: what the Python wrappers never let through."""

from __future__ import annotations

from typing import Any

import egopack_native
import numpy as np
import pytest
import torch

NMS: dict[str, Any] = {
    "segments": np.array([[0, 1], [2, 3]], dtype=np.float32),
    "scores": np.array([0.5, 0.6], dtype=np.float32),
    "labels": np.array([0, 1]),
    "method": "gaussian",
    "iou_threshold": 0.1,
    "sigma": 2.0,
    "min_score": 0.001,
    "max_segments": 10,
    "per_class": True,
}
OVERLAPS: dict[str, Any] = {
    "segments": np.array([[0.0, 1.0], [2.0, 3.0]]),
    "group": np.array([0, 0]),
    "truth": np.array([[0.0, 1.0]]),
    "first": np.array([0, 1]),
}


def test_nms_gives_rows_and_scores() -> None:
    rows, scores = egopack_native.nms(**NMS)
    assert rows.dtype == np.int64
    assert scores.dtype == np.float32
    assert rows.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"segments": np.zeros((2, 2))}, TypeError, r"segments: expected float32 \[N, 2\], got float64 \[2, 2\]"),
        ({"segments": [[0, 1]]}, TypeError, r"segments: expected an array of float32 \[N, 2\], got list"),
        ({"scores": np.zeros(2, dtype=np.int32)}, TypeError, r"scores: expected float32 \[N\], got int32 \[2\]"),
        ({"labels": np.zeros(2, dtype=np.uint8)}, TypeError, r"labels: expected int64 \[N\], got uint8 \[2\]"),
        ({"labels": np.zeros(2, dtype=bool)}, TypeError, r"labels: expected int64 \[N\], got bool \[2\]"),
        ({"labels": np.array(3)}, ValueError, r"labels: expected int64 \[N\], got int64 \[\]"),
    ],
)
def test_nms_refuses(change: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        egopack_native.nms(**{**NMS, **change})


@pytest.mark.parametrize("kept", [[-1], [2]])
def test_vote_refuses_rows_that_are_not_there(kept: list[int]) -> None:
    with pytest.raises(ValueError, match="kept: no row"):
        egopack_native.vote(NMS["segments"], NMS["scores"], np.array(kept), 0.5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"group": np.array([0, 1])}, "group: no group 1"),
        ({"group": np.array([-1, 0])}, "group: no group -1"),
        ({"group": np.array([0])}, "group: has 1 rows, segments has 2"),
        ({"first": np.array([0, 2])}, "first: must run from 0"),
        ({"first": np.array([0, 2, 1])}, "first: must not fall"),
        ({"first": np.zeros(0, dtype=np.int64)}, "first: must run from 0"),
    ],
)
def test_overlaps_refuse(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        egopack_native.match(**{**OVERLAPS, **change}, tiou=np.array([0.5]))
    with pytest.raises(ValueError, match=text):
        egopack_native.best_overlap(**{**OVERLAPS, **change}, top=np.array([1]))


def test_results_outlive_their_inputs() -> None:
    hits = egopack_native.match(**OVERLAPS, tiou=np.array([0.5, 1.0]))
    best = egopack_native.best_overlap(**OVERLAPS, top=np.array([1, 2]))
    assert hits.tolist() == [[1, 0], [1, 0]]
    assert best.tolist() == [[1.0], [1.0]]


def test_results_are_never_written_to_a_copy() -> None:
    """An output of another type would be converted, filled and thrown away."""
    x, seed = torch.ones(4, 2), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(TypeError):
        egopack_native.dropout(x, torch.empty(4, 2, dtype=torch.bfloat16), seed, 0.5)
    with pytest.raises(TypeError):
        egopack_native.dropout(x, torch.empty(2, 4).T, seed, 0.5)
