from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from egopack.nn.losses import cross_entropy, diou_1d, sigmoid_focal

reach = st.floats(0, 20)
logit = st.floats(-30, 30)


@given(
    st.lists(st.tuples(st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.integers(-1, 2)), min_size=1, max_size=6)
)
def test_an_ignored_label_counts_in_the_mean(rows: list[tuple[list[float], int]]) -> None:
    terms = [math.log(sum(map(math.exp, row))) - row[label] for row, label in rows if label >= 0]
    logits, labels = (torch.tensor([row[part] for row in rows]) for part in (0, 1))
    assert float(cross_entropy(logits, labels)) == pytest.approx(sum(terms) / len(rows), abs=1e-5)


def test_labels_that_are_all_ignored() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    loss = cross_entropy(logits, torch.full((3,), -1))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@given(logit, st.booleans(), st.sampled_from([0.25, 0.5]), st.sampled_from([0.0, 1.0, 2.0]))
def test_focal_by_hand(value: float, positive: bool, alpha: float, gamma: float) -> None:
    p = 1 / (1 + math.exp(-value))
    correct, weight = (p, alpha) if positive else (1 - p, 1 - alpha)
    wrong = 1 / (1 + math.exp(value if positive else -value))
    entropy = max(0.0, -value if positive else value) + math.log1p(math.exp(-abs(value)))
    assert correct == pytest.approx(1 - wrong)
    found = sigmoid_focal(
        torch.tensor([value]).double(), torch.tensor([float(positive)]).double(), alpha=alpha, gamma=gamma
    )
    assert float(found) == pytest.approx(weight * entropy * wrong**gamma, rel=1e-6, abs=1e-12)


def test_focal_is_finite_at_extreme_logits() -> None:
    logits = torch.tensor([-1e4, -200.0, 200.0, 1e4], requires_grad=True)
    for target in (torch.zeros(4), torch.ones(4)):
        (gradient,) = torch.autograd.grad(sigmoid_focal(logits, target).sum(), logits)
        assert gradient.isfinite().all()
        assert sigmoid_focal(logits, target).isfinite().all()


def test_gradients_by_finite_differences() -> None:
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 2, (4, 3)).double()
    assert torch.autograd.gradcheck(lambda value: sigmoid_focal(value, target), [logits])
    offsets = (torch.rand(6, 2, dtype=torch.float64) + 0.5).requires_grad_()
    truth = torch.full((6, 2), 3.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda value: diou_1d(value, truth), [offsets])


@given(reach, reach, reach, reach)
def test_diou_of_segments(left: float, right: float, true_left: float, true_right: float) -> None:
    (a, b), (c, d) = (-left, right), (-true_left, true_right)
    union = (b - a) + (d - c) - max(0.0, min(b, d) - max(a, c))
    hull = max(b, d) - min(a, c)
    if hull < 1e-3:
        return
    iou = max(0.0, min(b, d) - max(a, c)) / union
    expected = 1 - iou + ((a + b) / 2 - (c + d) / 2) ** 2 / hull**2
    found = diou_1d(torch.tensor([[left, right]]).double(), torch.tensor([[true_left, true_right]]).double())
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_diou_at_its_ends() -> None:
    same = torch.tensor([[1.0, 2.0], [0.25, 0.0]])
    torch.testing.assert_close(diou_1d(same, same), torch.zeros(2))
    nothing = torch.zeros(1, 2, requires_grad=True)
    loss = diou_1d(nothing, torch.zeros(1, 2))
    (gradient,) = torch.autograd.grad(loss.sum(), nothing)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()
