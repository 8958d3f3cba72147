"""What each regime trains on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egopack.training.loaders import multi_batch_sizes, train_loader, training_samples
from tests.support import small


@pytest.mark.parametrize(
    ("lengths", "base", "expected"),
    [
        ({"a": 100, "b": 100}, 4, {"a": 4, "b": 4}),
        ({"a": 100, "b": 199, "c": 200}, 4, {"a": 4, "b": 4, "c": 8}),
        ({"a": 7, "b": 3, "c": 64}, 2, {"a": 4, "b": 2, "c": 42}),
        ({"a": 5}, 3, {"a": 3}),
    ],
)
def test_batch_sizes(lengths: dict[str, int], base: int, expected: dict[str, int]) -> None:
    assert multi_batch_sizes(lengths, base) == expected


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 10_000), min_size=1), st.integers(1, 8))
def test_loaders_of_a_pack_are_about_as_long(lengths: dict[str, int], base: int) -> None:
    sizes = multi_batch_sizes(lengths, base)
    steps = {name: -(-length // sizes[name]) for name, length in lengths.items()}
    shortest = -(-min(lengths.values()) // base)
    assert all(shortest <= count <= 2 * shortest + 1 for count in steps.values())


def test_samples_are_augmented_as_the_task_wants_them() -> None:
    samples = small.samples_of("pnr", 4)
    loader = train_loader(
        "pnr", small.task_params("pnr"), samples, small.Features(), batch_size=2, radius_s=2.0, seed=0
    )
    before = {sample.key: sample.targets["window"].tolist() for sample in samples}
    changed = []
    for batch, _ in loader.epoch():
        windows = batch.targets["window"].reshape(-1, 2).tolist()
        changed += [window != before[key] for key, window in zip(batch.keys, windows, strict=True)]
    assert any(changed)
    assert loader.levels == 1


def test_training_on_both_splits() -> None:
    train_split, val = small.samples_of("oscc", 2), small.samples_of("oscc", 3, seed=1)
    longer = [
        type(one)(
            one.key, one.video_uid, one.rows, one.pos, one.targets | {"unique_ids": np.pad(ids, ((0, 0), (0, 3)))}
        )
        for one in val
        for ids in [one.targets["unique_ids"]]
    ]
    assert training_samples(train_split, longer, both=False) == train_split
    both = training_samples(train_split, longer, both=True)
    assert [one.key for one in both] == [one.key for one in [*train_split, *longer]]
    assert len(small.batch_of(both)) == 5
    for got, want in zip(both, [*train_split, *longer], strict=True):
        width = want.targets["unique_ids"].shape[1]
        np.testing.assert_array_equal(got.targets["unique_ids"][:, :width], want.targets["unique_ids"])
        assert not got.targets["unique_ids"][:, width:].any()
