"""What each regime trains on."""

from __future__ import annotations

from dataclasses import replace

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
    before = {sample.key: sample.targets["frame_labels"].tolist() for sample in samples}
    changed = []
    for batch, _ in loader.epoch():
        labels = batch.targets["frame_labels"].reshape(-1, 16).tolist()
        changed += [own != before[key] for key, own in zip(batch.keys, labels, strict=True)]
    assert any(changed)
    assert loader.levels == 1


def test_training_on_both_splits() -> None:
    train_split, val = small.samples_of("oscc", 2), small.samples_of("oscc", 3, seed=1)
    longer = [
        replace(one, texts={"unique_ids": tuple(f"{text}-long" for text in one.texts["unique_ids"])}) for one in val
    ]
    assert training_samples(train_split, longer, both=False) == train_split
    both = training_samples(train_split, longer, both=True)
    assert both == [*train_split, *longer]
    assert len(small.batch_of(both)) == 5
