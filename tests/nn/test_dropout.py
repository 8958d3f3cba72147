"""The compiled dropout: its rate, its independence, its gradient."""

from __future__ import annotations

import egopack_native
import pytest
import torch
from torch import Tensor

from egopack.nn.dropout import Dropout
from tests.support.threads import threads


def mask(p: float, seed: int, count: int = 200_000) -> Tensor:
    """Where the compiled code keeps an element, 0 or 1."""
    out = torch.empty(count)
    egopack_native.dropout(torch.ones(count), out, torch.tensor([seed]), p)
    assert set(out.unique().tolist()) <= {0.0, float(torch.tensor(1 / (1 - p)))}
    return (out > 0).float()


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, -1, 2**40 + 5])
def test_rate(p: float, seed: int) -> None:
    assert mask(p, seed).mean().item() == pytest.approx(1 - p, abs=5 * (p * (1 - p) / 200_000) ** 0.5)


@pytest.mark.parametrize("other", [1, 2, 2**32, 2**33 + 1])
@pytest.mark.parametrize("shift", [0, 1, 768])
def test_masks_of_two_seeds_and_shifted_masks_are_independent(other: int, shift: int) -> None:
    one, two = mask(0.5, 0), mask(0.5, other).roll(shift)
    assert abs((one == two).float().mean().item() - 0.5) < 0.006


@pytest.mark.parametrize("shift", [1, 2, 3, 64, 768, 4096])
def test_neighbors_are_independent(shift: int) -> None:
    one = mask(0.5, 3)
    assert abs((one == one.roll(shift)).float().mean().item() - 0.5) < 0.006


def test_gradient_passes_where_the_value_did() -> None:
    x = torch.randn(50, 40, requires_grad=True)
    out = Dropout(0.3)(x)
    out.backward(torch.full_like(out, 2.0))
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.where(out != 0, 2 / 0.7, 0.0))
    torch.testing.assert_close(out, torch.where(out != 0, x / 0.7, 0.0))


def test_the_seed_of_torch_decides_and_no_call_repeats_another() -> None:
    layer, x = Dropout(0.5), torch.ones(1000)
    torch.manual_seed(4)
    first, second = layer(x), layer(x)
    torch.manual_seed(4)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_the_same_for_any_number_of_threads() -> None:
    whole = mask(0.1, 7, 1 << 20)
    for count in (1, 2, 5):
        with threads(count):
            assert torch.equal(mask(0.1, 7, 1 << 20), whole)


def test_nothing_happens_in_evaluation_or_without_a_rate() -> None:
    x = torch.randn(9, 9)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()


def test_other_types_and_layouts_take_any_path() -> None:
    assert Dropout(0.5)(torch.ones(100, dtype=torch.float64)).dtype == torch.float64
    x = torch.randn(30, 20).T
    out = Dropout(0.5)(x)
    torch.testing.assert_close(out, torch.where(out != 0, 2 * x, 0.0))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="p: must be in"):
        egopack_native.dropout(torch.ones(2), torch.ones(2), torch.tensor([1]), 1.0)
    with pytest.raises(ValueError, match="out: has 3 rows, x has 2"):
        egopack_native.dropout(torch.ones(2), torch.ones(3), torch.tensor([1]), 0.5)
