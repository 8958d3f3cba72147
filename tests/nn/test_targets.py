"""Targets against a triple loop over levels, nodes and segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from egopack.data.batch import places_of
from egopack.data.pyramid import Pyramid, build_pyramid, join
from egopack.nn import targets
from egopack.nn.targets import assign_targets, node_ranges

CLASSES = 4
Segments = list[tuple[float, float, int]]


def pyramid_of(lengths: list[int], levels: int) -> Pyramid:
    pos = np.concatenate([(0.5 + np.arange(n)) * 0.5 for n in lengths]).astype(np.float32)
    return build_pyramid(pos, lengths, levels=levels, radius_s=2.0)


def by_loops(pyramid: Pyramid, segments: list[Segments]) -> tuple[list[bool], list[list[float]], list[list[float]]]:
    """Positive, offsets and classes of every node, read from section 4 of the method."""
    positive, offsets, classes = [], [], []
    top = len(pyramid) - 1
    for l, level in enumerate(pyramid):  # noqa: E741
        low, high = (0.0 if l == 0 else 2.0**l), (10_000.0 if l == top else 2.0 ** (l + 2))
        for p, video in zip(level.pos.tolist(), level.video.tolist(), strict=True):
            eligible = []
            for s, e, label in segments[video]:
                left, right = p - s, e - p
                if min(left, right) > 0 and low <= max(left, right) <= high:
                    eligible.append((e - s, left, right, label))
            row, offset = [0.0] * CLASSES, [0.0, 0.0]
            if eligible:
                shortest = min(eligible, key=lambda item: item[0])
                offset = [shortest[1] / 2**l, shortest[2] / 2**l]
                for length, _, _, label in eligible:
                    if length <= shortest[0] + 1e-3:
                        row[label] = 1.0
            positive.append(bool(eligible))
            offsets.append(offset)
            classes.append(row)
    return positive, offsets, classes


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], list[Segments]]:
    """Videos and their segments on eighths of a second, so that nothing is decided by rounding; many of one length."""
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    one = st.tuples(st.integers(-8, 160), st.integers(1, 160), st.integers(0, CLASSES - 1))
    segments = [[(s / 8, (s + n) / 8, label) for s, n, label in draw(st.lists(one, max_size=5))] for _ in lengths]
    return lengths, segments


def assigned(pyramid: Pyramid, segments: list[Segments]) -> tuple[list[bool], list[list[float]], list[list[float]]]:
    flat = [item for own in segments for item in own]
    table = torch.tensor([item[:2] for item in flat], dtype=torch.float32).reshape(-1, 2)
    labels = torch.tensor([item[2] for item in flat], dtype=torch.int64)
    found = assign_targets(pyramid, join(pyramid), table, labels, places_of([len(own) for own in segments]), CLASSES)
    return found.positive.tolist(), found.offsets.tolist(), found.classes.tolist()


@pytest.mark.parametrize("at_once", [targets.AT_ONCE, 0])
@settings(max_examples=120, deadline=None)
@given(problems(), st.integers(1, 5), st.integers(1, 50))
def test_targets_by_loops(at_once: int, problem: tuple[list[int], list[Segments]], levels: int, part: int) -> None:
    """Whole, and in parts of any size."""
    lengths, segments = problem
    pyramid = pyramid_of(lengths, levels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "AT_ONCE", at_once)
        patch.setattr(targets, "PART", part)
        positive, offsets, classes = assigned(pyramid, segments)
    expected = by_loops(pyramid, segments)
    assert positive == expected[0]
    assert classes == expected[2]
    np.testing.assert_allclose(offsets, expected[1], atol=1e-5)


def test_parts_are_the_whole_to_the_bit() -> None:
    generator = np.random.default_rng(3)
    pyramid = pyramid_of([700, 90, 1300], 5)
    segments = []
    for m in (90, 0, 200):
        starts, lengths = generator.uniform(-9, 600, m), generator.exponential(9, m)
        segments.append(list(zip(starts, starts + lengths, generator.integers(0, 4, m), strict=True)))
    whole = assigned(pyramid, segments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "AT_ONCE", 1000)
        assert assigned(pyramid, segments) == whole
    assert sum(whole[0]) > 1000


def test_memory_is_bounded_where_moments_are_thousands() -> None:
    """Ten hours with 12,000 moments: all tensors that are made are small, unlike nodes times moments."""
    pyramid = pyramid_of([67_500], 2)
    start = np.random.default_rng(0).uniform(0, 33_000, 12_000)
    segments = [[(s, s + 20.0, 1) for s in start.tolist()]]
    largest = 0

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                largest = max(largest, made.untyped_storage().nbytes())
            return made

    with Sizes():
        assigned(pyramid, segments)
    assert 1 << 18 < largest < 16 << 20


def test_ranges_of_the_levels() -> None:
    assert node_ranges(pyramid_of([4], 1)) == [(0.0, 10_000.0)]
    assert node_ranges(pyramid_of([4], 3)) == [(0.0, 4.0), (2.0, 8.0), (4.0, 10_000.0)]


def test_equally_short_segments_share_a_node() -> None:
    pyramid = pyramid_of([8], 1)
    shared = [[(0.0, 3.0, 1), (0.5, 3.5, 2), (0.0, 4.0, 3), (0.25, 3.2505, 0)]]
    positive, offsets, classes = assigned(pyramid, shared)
    node = pyramid[0].pos.tolist().index(1.75)
    assert positive[node]
    assert classes[node] == [1.0, 1.0, 1.0, 0.0]
    assert offsets[node] == [1.75, 1.25]  # of the shortest, and of those the first


def test_a_boundary_is_not_inside() -> None:
    pyramid = pyramid_of([8], 1)
    positive, _, _ = assigned(pyramid, [[(0.75, 1.75, 0)]])
    assert [p for p, inside in zip(pyramid[0].pos.tolist(), positive, strict=True) if inside] == [1.25]


def test_other_videos_never_answer() -> None:
    pyramid = pyramid_of([8, 8], 2)
    positive, _, classes = assigned(pyramid, [[], [(0.0, 4.0, 2)]])
    video = torch.cat([level.video for level in pyramid]).tolist()
    assert any(positive)
    assert not any(flag for flag, owner in zip(positive, video, strict=True) if owner == 0)
    assert not any(any(row) for row, owner in zip(classes, video, strict=True) if owner == 0)
