"""NMS against the fixtures, a plain torch version and itself."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from egopack.detection.nms import Detections, suppress
from tests.support import detection_oracles as oracles

FIXTURES = sorted((Path(__file__).parents[1] / "parity" / "modules").glob("nms_*.npz"))
Inputs = tuple[Tensor, Tensor, Tensor]


def random_inputs(count: int, classes: int, seed: int = 0) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(count, generator=generator) * 470
    length = 0.1 - 8 * torch.log(1 - torch.rand(count, generator=generator))
    scores = torch.rand(count, generator=generator) ** 4
    labels = torch.randint(classes, (count,), generator=generator)
    return torch.stack([start, start + length], dim=1), scores, labels


def same(one: Detections, other: Detections) -> bool:
    pairs = ((one.segments, other.segments), (one.scores, other.scores), (one.labels, other.labels))
    return all(torch.equal(a, b) for a, b in pairs)


@st.composite
def inputs(draw: st.DrawFn) -> Inputs:
    """Few places, lengths (0 too), scores and labels, so that ties and exact overlaps abound."""
    quarters = st.integers(0, 24).map(lambda n: n / 4)
    row = st.tuples(quarters, quarters, st.integers(0, 10).map(lambda n: n / 10), st.sampled_from([-3, 0, 7]))
    rows = draw(st.lists(row, max_size=25))
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)
    segments = torch.stack([table[:, 0], table[:, 0] + table[:, 1]], dim=1).float()
    return segments, table[:, 2].float(), table[:, 3].long()


def test_there_are_fixtures() -> None:
    assert len(FIXTURES) >= 5


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_fixture(path: Path) -> None:
    data = np.load(path, allow_pickle=False)
    arguments: dict[str, Any] = {k: v for k, v in json.loads(str(data["meta"])).items() if v is not None}
    found = suppress(*(torch.from_numpy(data[f"in/{key}"]) for key in ("segments", "scores", "labels")), **arguments)
    np.testing.assert_allclose(found.scores, data["out/scores"], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(found.segments, data["out/segments"], atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(found.labels, data["out/labels"])


@settings(deadline=None, max_examples=200)
@given(inputs(), st.booleans(), st.sampled_from([0.1, 1 / 3, 0.5, 1.0]), st.integers(0, 30))
def test_hard_equals_oracle(data: Inputs, per_class: bool, iou_threshold: float, most: int) -> None:
    arguments = {"method": "hard", "iou_threshold": iou_threshold, "per_class": per_class, "max_segments": most}
    rows, scores = oracles.suppress(*data, **arguments)
    found = suppress(*data, **arguments)
    assert torch.equal(found.segments, data[0][rows])
    assert torch.equal(found.labels, data[2][rows])
    assert found.scores.tolist() == scores


@settings(deadline=None, max_examples=200)
@given(inputs(), st.booleans(), st.sampled_from([0.1, 0.5, 2.0]), st.sampled_from([0.0, 0.001, 0.35]))
def test_gaussian_equals_oracle(data: Inputs, per_class: bool, sigma: float, min_score: float) -> None:
    arguments = {"sigma": sigma, "min_score": min_score, "per_class": per_class, "max_segments": 100}
    _, everything = oracles.suppress(*data, **{**arguments, "min_score": 0.0})
    # exp may differ in the last bit: a score that close to the threshold, or to the next, may fall either way.
    assume(all(abs(score - min_score) > 1e-6 or score == min_score for score in everything))
    rows, scores = oracles.suppress(*data, **arguments)
    found = suppress(*data, **arguments)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6, rtol=1e-5)
    if all(a - b > 1e-6 for a, b in pairwise(scores)):
        assert torch.equal(found.segments, data[0][rows])
        assert torch.equal(found.labels, data[2][rows])


@settings(deadline=None, max_examples=100)
@given(inputs(), st.sampled_from([0.2, 0.5, 0.75, 1.0]))
def test_voting_equals_oracle(data: Inputs, threshold: float) -> None:
    arguments = {"method": "hard", "iou_threshold": 0.5, "per_class": False, "max_segments": 100, "min_score": 0.0}
    rows, _ = oracles.suppress(*data, **arguments)
    found = suppress(*data, **arguments, voting_threshold=threshold)
    expected = oracles.vote(data[0], data[1], rows, threshold)
    np.testing.assert_allclose(found.segments, expected, atol=1e-5, rtol=1e-6)


def test_an_iou_at_the_voting_threshold_votes() -> None:
    segments, labels = torch.tensor([[0.0, 1.0], [0.0, 2.0]]), torch.zeros(2, dtype=torch.int64)
    threshold = float(oracles.nms_iou(segments[0], segments)[1])
    arguments = {"method": "hard", "per_class": False, "voting_threshold": threshold}
    found = suppress(segments, torch.tensor([1.0, 1.0]), labels, **arguments)
    assert found.segments.flatten().tolist() == pytest.approx([0, (1 + 2 * threshold) / (1 + threshold)])


def test_voting_far_from_zero() -> None:
    segments, scores, labels = random_inputs(1500, 4)
    segments = segments + 30_000
    found = suppress(segments, scores, labels, per_class=False, voting_threshold=0.3, max_segments=200)
    plain = suppress(segments, scores, labels, per_class=False, max_segments=200)
    rows = [int((segments == segment).all(dim=1).nonzero()[0]) for segment in plain.segments]
    np.testing.assert_allclose(found.segments, oracles.vote(segments, scores, rows, 0.3), rtol=1e-6)


def test_stopping_early_is_exact() -> None:
    data = random_inputs(3000, 7)
    everything = suppress(*data, max_segments=3000)
    found = suppress(*data, max_segments=200)
    assert len(everything.scores) > 2000
    for short, long in ((found.segments, everything.segments), (found.scores, everything.scores)):
        assert torch.equal(short, long[:200])


def test_one_call_equals_a_call_per_class() -> None:
    segments, scores, labels = random_inputs(4000, 11)
    apart = [suppress(segments[labels == c], scores[labels == c], labels[labels == c]) for c in range(11)]
    merged = torch.cat([part.scores for part in apart]).sort(descending=True).values[:2000]
    assert torch.equal(suppress(segments, scores, labels).scores, merged)


@pytest.mark.parametrize("labels", [[0, 1, 2], [-(2**62), 5, 2**62]])
def test_labels_are_names_not_places(labels: list[int]) -> None:
    found = suppress(torch.tensor([[0.0, 1.0]] * 3), torch.tensor([0.5, 0.9, 0.7]), torch.tensor(labels))
    assert found.labels.tolist() == [labels[1], labels[2], labels[0]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.5])


def test_ties_go_to_the_earlier_row() -> None:
    segments = torch.tensor([[0.0, 1.0], [5.0, 6.0], [0.0, 1.0], [9.0, 10.0]])
    found = suppress(segments, torch.full((4,), 0.5), torch.zeros(4, dtype=torch.int64), method="hard")
    assert found.segments[:, 0].tolist() == [0, 5, 9]


def test_min_score_itself_is_kept() -> None:
    found = suppress(
        torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([0.25, 0.2499]), torch.zeros(2).long(), min_score=0.25
    )
    assert found.scores.tolist() == [0.25]


def test_empty_input() -> None:
    for extra in ({}, {"per_class": False, "voting_threshold": 0.7}):
        found = suppress(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, dtype=torch.int64), **extra)
        assert found.segments.shape == (0, 2)
        assert found.scores.shape == found.labels.shape == (0,)


def test_empty_segments_overlap_themselves() -> None:
    twice = torch.tensor([[3.0, 3.0], [3.0, 3.0]])
    found = suppress(twice, torch.tensor([0.9, 0.8]), torch.zeros(2).long(), per_class=False, voting_threshold=0.5)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8 * np.exp(-0.5)])
    assert torch.equal(found.segments, twice)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_types_come_back(dtype: torch.dtype) -> None:
    segments, scores, labels = random_inputs(50, 3)
    found = suppress(segments.to(dtype), scores.to(dtype).requires_grad_(), labels.int())
    assert found.segments.dtype == found.scores.dtype == dtype
    assert found.labels.dtype == torch.int64
    assert not found.scores.requires_grad


def test_strides_do_not_matter() -> None:
    segments, scores, labels = random_inputs(400, 3)
    turned = segments.T.contiguous().T
    assert not turned.is_contiguous()
    assert same(
        suppress(turned[::2], scores[::2], labels[::2]), suppress(segments[::2].clone(), scores[::2], labels[::2])
    )


def test_same_input_same_bytes_from_many_threads() -> None:
    data = random_inputs(5000, 20)
    expected = suppress(*data)
    with ThreadPoolExecutor(4) as pool:
        assert all(same(found, expected) for found in pool.map(lambda _: suppress(*data), range(12)))


def test_other_threads_run_meanwhile() -> None:
    data = random_inputs(60_000, 2)
    worker = threading.Thread(target=lambda: suppress(*data, max_segments=60_000))
    worker.start()
    ticks, started = 0, time.perf_counter()
    while worker.is_alive():
        time.sleep(0.001)
        ticks += 1
    if time.perf_counter() - started < 0.05:
        pytest.skip("too fast to tell")
    assert ticks > 5


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"segments": torch.zeros(3, 3)}, ValueError, r"segments: expected float32 \[N, 2\], got float32 \[3, 3\]"),
        ({"segments": torch.zeros(6)}, ValueError, r"segments: expected float32 \[N, 2\], got float32 \[6\]"),
        ({"segments": torch.zeros(3, 2).long()}, TypeError, r"segments: expected a floating type, got torch.int64"),
        ({"segments": torch.zeros(2, 2)}, ValueError, r"scores: has 3 rows, segments has 2"),
        ({"segments": torch.full((3, 2), torch.nan)}, ValueError, r"segments: row 0 is nan"),
        ({"segments": torch.tensor([[0, 1], [2, 3], [5, 4.0]])}, ValueError, r"segments: row 2 ends before it starts"),
        ({"scores": torch.zeros(3, 1)}, ValueError, r"scores: expected float32 \[N\], got float32 \[3, 1\]"),
        ({"scores": torch.zeros(3).int()}, TypeError, r"scores: expected a floating type, got torch.int32"),
        ({"scores": torch.tensor([0.1, torch.nan, 0.2])}, ValueError, r"scores: row 1 is nan"),
        ({"scores": torch.tensor([0.1, 0.2, torch.inf])}, ValueError, r"scores: row 2 is inf"),
        ({"labels": torch.zeros(3)}, TypeError, r"labels: expected integers, got torch.float32"),
        ({"labels": torch.zeros(4).long()}, ValueError, r"labels: has 4 rows, segments has 3"),
        ({"method": "linear"}, ValueError, r"method: expected 'gaussian' or 'hard', got 'linear'"),
        ({"sigma": 0.0}, ValueError, r"sigma: must be positive"),
        ({"min_score": -1.0}, ValueError, r"min_score: must not be negative"),
        ({"min_score": float("nan")}, ValueError, r"min_score: must not be negative"),
        ({"max_segments": -1}, ValueError, r"max_segments: must not be negative, got -1"),
        ({"method": "hard", "iou_threshold": 0.0}, ValueError, r"iou_threshold: must be positive"),
        ({"voting_threshold": 0.7}, ValueError, r"voting_threshold: .* needs per_class=False"),
        ({"voting_threshold": 1.5, "per_class": False}, ValueError, r"threshold: must be in \(0, 1\]"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], text: str) -> None:
    segments, scores, labels = random_inputs(3, 2)
    arguments: dict[str, Any] = {"segments": segments, "scores": scores, "labels": labels} | change
    with pytest.raises(error, match=text):
        suppress(**arguments)
