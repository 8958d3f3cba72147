from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from egopack.data import batch as batch_module
from egopack.data.batch import collate, nodes_in_segments
from egopack.data.moving import mapped, move, send
from tests.support import small
from tests.support.launches import Transfers

quarters = st.integers(0, 20).map(lambda tick: tick / 4)


@st.composite
def ragged(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Positions and segments of several videos; boundaries fall on nodes, segments overlap, are empty or outside."""
    count = draw(st.integers(1, 4))
    pos = [np.array(sorted(draw(st.lists(quarters, min_size=1, max_size=8))), np.float32) for _ in range(count)]
    pairs = st.lists(st.tuples(quarters, quarters), max_size=4)
    return pos, [np.array(draw(pairs), np.float32).reshape(-1, 2) for _ in range(count)]


@settings(max_examples=80, deadline=None)
@given(ragged())
def test_nodes_in_segments_by_brute_force(data: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    pos, segments = data
    expected, base = [], 0
    for own, wanted in zip(pos, segments, strict=True):
        expected += [[base + i for i, p in enumerate(own) if start <= p <= end] for start, end in wanted]
        base += len(own)
    found = nodes_in_segments(pos, segments)
    ranges = zip(found.first.tolist(), found.last.tolist(), strict=True)
    assert [list(range(first, last)) for first, last in ranges] == expected
    assert found.nodes == base


def test_columns_are_in_sample_order() -> None:
    samples = small.samples_of("ar", 4)
    batch = small.batch_of(samples)
    assert len(batch) == 4
    assert batch.keys == tuple(sample.key for sample in samples)
    assert batch.pyramid[0].lengths == tuple(map(len, samples))
    assert set(batch.targets) == {"verbs", "nouns"}
    for name in ("verbs", "nouns"):
        np.testing.assert_array_equal(batch.targets[name], np.concatenate([sample.targets[name] for sample in samples]))
        owner = [index for index, sample in enumerate(samples) for _ in sample.targets[name]]
        assert batch.owner(name).tolist() == owner
    features = small.Features()
    np.testing.assert_array_equal(batch.x, np.concatenate([features.rows(s.video_uid, s.rows) for s in samples]))


def test_a_sample_without_a_segment_owns_none() -> None:
    samples = small.samples_of("mq", 3)
    samples[1].targets.update(segments=np.zeros((0, 2), np.float32), classes=np.zeros(0, np.int64))
    batch = small.batch_of(samples)
    assert batch.counts["classes"][1] == 0
    assert 1 not in batch.owner("classes").tolist()
    assert batch.segment_nodes is None  # MQ pools over no segment
    none = replace(small.samples_of("ar", 1)[0], segments=np.zeros((0, 2), np.float32))
    nodes = small.batch_of([none]).segment_nodes
    assert nodes is not None
    assert (len(nodes.first), len(nodes.last)) == (0, 0)


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 9))
def test_means_of_parts_times_their_share_add_up_to_the_mean(sizes: list[int], seed: int) -> None:
    rows = torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(seed))
    whole = small.batch_of(small.samples_of("lta", 1))
    part = replace(whole, total=lambda count: torch.tensor(float(sum(sizes))))
    added = torch.stack([own.mean() * part.share(own) for own in rows.split(sizes)]).sum()
    torch.testing.assert_close(added, rows.mean())
    assert float(whole.share(rows)) == 1.0
    assert float(whole.total(torch.tensor(3.0))) == 3.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features_become_float32(dtype: type) -> None:
    samples = small.samples_of("lta", 2)
    rows = [np.full((len(sample), 3), 0.1, dtype) for sample in samples]
    batch = collate(samples, rows, levels=1, radius_s=2.0)
    assert batch.x.dtype == torch.float32
    assert batch.segment_nodes is None
    np.testing.assert_allclose(batch.x, 0.1, atol=1e-4)


def test_move_reaches_every_tensor() -> None:
    def tensors(value: object) -> list[Tensor]:
        if isinstance(value, Tensor):
            return [value]
        if isinstance(value, dict):
            return [tensor for item in value.values() for tensor in tensors(item)]
        if isinstance(value, tuple):
            return [tensor for item in value for tensor in tensors(item)]
        return (
            [tensor for item in vars(value).values() for tensor in tensors(item)] if hasattr(value, "__dict__") else []
        )

    batch = small.batch_of(small.samples_of("mq", 2), levels=3).ready()
    moved = batch.to("meta")
    assert len(tensors(batch)) > 30
    assert [tensor.shape for tensor in tensors(moved)] == [tensor.shape for tensor in tensors(batch)]
    assert {tensor.device.type for tensor in tensors(moved)} == {"meta"}
    assert {tensor.device.type for tensor in tensors(batch)} == {"cpu"}
    assert moved.keys == batch.keys
    assert move("text", "meta") == "text"


@pytest.mark.parametrize("name", small.TASKS)
def test_a_batch_is_sent_in_one_piece_and_a_pyramid_once(name: str) -> None:
    found = []
    batch_module._sent_graphs.cache_clear()
    for _ in range(2):
        batch = small.batch_of(small.samples_of(name, seed=7), levels=3)
        with Transfers() as transfers:
            moved = batch.to("meta")
        found.append((transfers.count, moved.pyramid[0]))
    assert [count for count, _ in found] == [2, 1]
    assert found[0][1] is found[1][1]


def test_what_is_sent_arrives_as_it_was() -> None:
    batch = small.batch_of(small.samples_of("ar"), levels=2).ready()
    sent = send(batch, "cpu")
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    mapped(batch, lambda tensor: ours.append(tensor) or tensor)
    mapped(sent, lambda tensor: theirs.append(tensor) or tensor)
    assert len(ours) > 30
    for got, want in zip(theirs, ours, strict=True):
        assert got.dtype == want.dtype
        assert torch.equal(got, want)
        assert got.data_ptr() % 16 == 0
    assert len({tensor.untyped_storage().data_ptr() for tensor in theirs}) == 1
