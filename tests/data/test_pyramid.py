from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egopack.data.pyramid import DISTANCE_RESOLUTION_S, Edges, build_pyramid, even_nodes, radius_edges
from egopack.nn.tdgc import MOST_DISTANCES


@st.composite
def videos(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    """Positions on quarters of a second, ties and duplicates included, of several videos."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    parts = [sorted(draw(st.lists(st.integers(0, 24), min_size=n, max_size=n))) for n in lengths]
    return np.array([tick / 4 for part in parts for tick in part], dtype=np.float32), lengths


def brute_force(pos: np.ndarray, lengths: list[int], radius: float) -> dict[tuple[int, int], float]:
    """(source, target) -> p_source - p_target, by looking at all pairs."""
    video = np.repeat(np.arange(len(lengths)), lengths)
    pairs = [(j, i) for i in range(len(pos)) for j in range(len(pos)) if i != j and video[i] == video[j]]
    return {(j, i): float(pos[j]) - float(pos[i]) for j, i in pairs if abs(float(pos[j]) - float(pos[i])) <= radius}


def as_pairs(edges: Edges) -> list[tuple[int, int]]:
    return list(zip(edges.source.tolist(), edges.target.tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(videos(), st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.1]))
def test_edges_are_the_pairs_within_the_radius(nodes: tuple[np.ndarray, list[int]], radius: float) -> None:
    pos, lengths = nodes
    edges, expected = radius_edges(pos, lengths, radius), brute_force(pos, lengths, radius)
    pairs = as_pairs(edges)
    assert sorted(pairs) == sorted(expected)
    assert [i for _, i in pairs] == sorted(i for _, i in pairs)
    assert edges.sign.tolist() == [float(np.sign(expected[pair])) for pair in pairs]
    np.testing.assert_allclose(edges.distances[edges.distance_id], [abs(expected[pair]) for pair in pairs], atol=1e-6)
    assert len(edges.distances) == len({abs(value) for value in expected.values()})
    into = [sum(target == i for _, target in pairs) for i in range(len(pos))]
    assert edges.degree.tolist() == into
    assert edges.row_start.tolist() == np.concatenate([[0], np.cumsum(into)]).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 50, width=32), min_size=1, max_size=12), st.floats(0.1, 20))
def test_the_reverse_of_every_edge_is_an_edge(ticks: list[float], radius: float) -> None:
    edges = radius_edges(np.sort(np.array(ticks, dtype=np.float32)), [len(ticks)], radius)
    by_pair = dict(zip(as_pairs(edges), zip(edges.sign.tolist(), edges.distance_id.tolist(), strict=True), strict=True))
    for (j, i), (sign, distance) in by_pair.items():
        assert by_pair[i, j] == (-sign, distance)


@pytest.mark.parametrize(("gap", "count"), [(2.0, 2), (2.0 + 0.5 * DISTANCE_RESOLUTION_S, 2), (2.001, 0)])
def test_a_neighbor_at_exactly_the_radius_counts(gap: float, count: int) -> None:
    assert len(radius_edges(np.array([0.0, gap]), [2], 2.0).source) == count


def test_nodes_at_one_place_are_neighbors_with_no_sign() -> None:
    edges = radius_edges(np.zeros(3, np.float32), [3], 1.0)
    assert len(edges.source) == 6
    assert edges.sign.tolist() == [0.0] * 6
    assert edges.distances.tolist() == [0.0]


def test_a_video_of_one_node_has_no_edge() -> None:
    edges = radius_edges(np.array([3.0, 3.0]), [1, 1], 5.0)
    assert (len(edges.source), len(edges.distances)) == (0, 0)
    assert edges.row_start.tolist() == [0, 0, 0]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_pooling_indices(lengths: list[int]) -> None:
    expected = []
    for start, length in zip(np.cumsum([0, *lengths]).tolist(), lengths, strict=False):
        for i in range(0, length, 2):
            left, right = i - 1 if i > 0 else i, i + 1 if i + 1 < length else i
            expected.append((start + left, start + i, start + right, float(i > 0), float(i + 1 < length)))
    pooling = even_nodes(lengths)
    columns = (pooling.left, pooling.center, pooling.right, pooling.left_weight, pooling.right_weight)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 21), min_size=1, max_size=4), st.integers(1, 5))
def test_levels_are_every_second_node_at_twice_the_radius(lengths: list[int], levels: int) -> None:
    parts = [(0.5 + np.arange(n)).astype(np.float32) for n in lengths]
    pyramid = build_pyramid(np.concatenate(parts), lengths, levels=levels, radius_s=2.0)
    assert len(pyramid) == levels
    for index, level in enumerate(pyramid):
        own = [part[:: 2**index] for part in parts]
        assert (level.index, level.extent) == (index, 2.0**index)
        assert level.lengths == tuple(map(len, own))
        assert level.pos.tolist() == np.concatenate(own).tolist()
        assert level.video.tolist() == [video for video, part in enumerate(own) for _ in part]
        expected = brute_force(np.concatenate(own), [len(part) for part in own], 2.0 * 2**index)
        assert sorted(as_pairs(level.edges)) == sorted(expected)
        assert (level.pooling is None) == (index == levels - 1)
    for level, above in pairwise(pyramid):
        assert level.pooling is not None
        assert level.pos[level.pooling.center].tolist() == above.pos.tolist()
        assert level.video[level.pooling.center].tolist() == above.video.tolist()


def test_a_regular_grid_has_few_distances_at_every_level() -> None:
    lengths = [900, 850, 31]
    pos = np.concatenate([((0.5 + np.arange(n)) * 16 / 30).astype(np.float32) for n in lengths])
    for level in build_pyramid(pos, lengths, levels=8, radius_s=2.0):
        assert len(level.edges.distances) <= MOST_DISTANCES
