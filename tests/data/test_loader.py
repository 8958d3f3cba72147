from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egopack.data.loader import Augment, Loader
from egopack.data.samples import Sample
from tests.support import small


def loader_of(
    count: int, batch_size: int, *, seed: int = 0, augment: Augment | None = lambda sample, generator: sample
) -> Loader:
    samples = small.samples_of("lta", count)
    return Loader(samples, small.Features(), batch_size=batch_size, levels=1, radius_s=2.0, seed=seed, augment=augment)


def keys_of(loader: Loader, epoch: int) -> list[tuple[str, ...]]:
    return [batch.keys for batch, _ in loader.epoch(epoch)]


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 13), batch_size=st.integers(1, 6), epoch=st.integers(0, 5))
def test_every_sample_once_an_epoch(count: int, batch_size: int, epoch: int) -> None:
    loader = loader_of(count, batch_size)
    batches = keys_of(loader, epoch)
    assert len(batches) == len(loader)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert sorted(key for batch in batches for key in batch) == sorted(sample.key for sample in loader.samples)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    first, second = loader_of(9, 2, seed=4), loader_of(9, 2, seed=4)
    keys_of(first, 0)
    keys_of(first, 1)
    assert keys_of(first, 2) == keys_of(second, 2)
    assert keys_of(first, 2) != keys_of(first, 3)
    assert keys_of(first, 2) != keys_of(loader_of(9, 2, seed=5), 2)


def test_without_draw_samples_come_in_their_order() -> None:
    loader = loader_of(5, 2, augment=None)
    expected = [sample.key for sample in loader.samples]
    for epoch in (0, 3):
        assert [key for batch in keys_of(loader, epoch) for key in batch] == expected


def marked(sample: Sample, generator: np.random.Generator) -> Sample:
    return replace(sample, targets=sample.targets | {"augmented": generator.random(1)})


def augmented(loader: Loader, epoch: int) -> dict[str, float]:
    pairs = [
        pair
        for batch, _ in loader.epoch(epoch)
        for pair in zip(batch.keys, batch.targets["augmented"].tolist(), strict=True)
    ]
    return dict(pairs)


def test_what_is_drawn_does_not_depend_on_earlier_epochs() -> None:
    one, other = loader_of(7, 3, augment=marked), loader_of(7, 3, augment=marked)
    earlier = [augmented(one, epoch) for epoch in range(3)]
    assert augmented(other, 2) == earlier[2]
    values = [value for epoch in earlier for value in epoch.values()]
    assert len(set(values)) == 21  # anew in every epoch, another for every sample


def test_what_is_drawn_does_not_depend_on_the_order_of_samples() -> None:
    loader = loader_of(6, 2, seed=3, augment=marked)
    shuffled_by = np.random.default_rng([3, 1]).random()
    assert shuffled_by not in augmented(loader, 1).values(), "samples are drawn from the numbers that shuffled them"


def test_the_samples_stay_as_they_were() -> None:
    loader = loader_of(4, 2, augment=marked)
    before = [sorted(sample.targets) for sample in loader.samples]
    for batch, chosen in loader.epoch():
        assert "augmented" in batch.targets
        assert [sample.key for sample in chosen] == list(batch.keys)
    assert [sorted(sample.targets) for sample in loader.samples] == before


def test_batches_made_ahead_equal_those_made_when_asked() -> None:
    loader = loader_of(7, 3, augment=marked)
    for index, (batch, chosen) in enumerate(loader.epoch(1)):
        again = loader.batch(1, index, chosen)
        assert torch.equal(batch.x, again.x)
        assert torch.equal(batch.targets["augmented"], again.targets["augmented"])


def test_forever_is_one_epoch_after_the_other() -> None:
    loader = loader_of(5, 2)
    expected = [keys for epoch in range(3) for keys in keys_of(loader, epoch)]
    assert [batch.keys for batch in islice(loader.forever(), 9)] == expected


def test_an_error_in_the_background_reaches_the_reader() -> None:
    class Broken:
        def rows(self, uid: str, rows: np.ndarray) -> Any:
            raise KeyError(uid)

    loader = Loader(small.samples_of("lta", 2), Broken(), batch_size=1, levels=1, radius_s=2.0)
    with pytest.raises(KeyError, match="video0"):
        next(loader.epoch())
