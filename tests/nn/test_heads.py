from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from egopack.nn.heads import Classifier, Neck, NormedLinear, segment_mean, video_max, video_mean
from tests import small


def test_neck_by_hand() -> None:
    neck = small.randomise(Neck(6, 4, 0.0))
    x = torch.randn(5, 6)
    weights = dict(neck.named_parameters())
    hidden = F.layer_norm(
        F.linear(x, weights["0.weight"], weights["0.bias"]), [4], weights["norm.weight"], weights["norm.bias"]
    )
    torch.testing.assert_close(neck(x), F.linear(hidden.relu(), weights["1.weight"], weights["1.bias"]))


def test_classifier_by_hand() -> None:
    head = small.randomise(Classifier(6, 3, hidden=4, dropout=0.0))
    plain = nn.Sequential(
        *(nn.Linear(6, 4), nn.LayerNorm(4), nn.ReLU()), *(nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU()), nn.Linear(4, 3)
    )
    for theirs, ours in zip(plain.parameters(), ordered(head), strict=True):
        theirs.data = ours
    x = torch.randn(5, 6)
    torch.testing.assert_close(head(x), plain(x))


def ordered(head: nn.Module) -> list[Tensor]:
    names = [f"{part}.{name}" for part in ("0", "1") for name in ("weight", "bias", "norm.weight", "norm.bias")]
    weights = dict(head.named_parameters())
    return [weights[name].data for name in (*names, "out.weight", "out.bias")]


def test_prior_and_missing_bias() -> None:
    head = Classifier(6, 3, hidden=4, dropout=0.0, prior=0.01)
    torch.testing.assert_close(torch.sigmoid(head["out"].bias), torch.full((3,), 0.01))
    assert Classifier(6, 3, hidden=4, dropout=0.0, last_bias=False)["out"].bias is None
    assert NormedLinear(6, 4, bias=False).bias is None


@pytest.mark.parametrize(
    "module", [Neck(6, 4, 0.5), Classifier(6, 3, hidden=4, dropout=0.5)], ids=["neck", "classifier"]
)
def test_dropout_acts_in_training_only(module: nn.Module) -> None:
    x = torch.randn(20, 6)
    assert not torch.equal(module.train()(x), module(x))
    assert torch.equal(module.eval()(x), module(x))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), max_size=5), min_size=1, max_size=6))
def test_segment_mean_by_brute_force(segments: list[list[int]]) -> None:
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    index = torch.tensor([node for nodes in segments for node in nodes], dtype=torch.int64)
    offsets = torch.tensor([sum(map(len, segments[:i])) for i in range(len(segments))])
    out = segment_mean(x, index, offsets)
    expected = torch.stack(
        [torch.stack([x[n] for n in nodes]).mean(0) if nodes else x.new_zeros(3) for nodes in segments]
    )
    torch.testing.assert_close(out, expected)
    assert torch.equal(out[[not nodes for nodes in segments]], torch.zeros(segments.count([]), 3, dtype=torch.float64))
    weight = torch.arange(out.numel(), dtype=torch.float64).reshape(out.shape)
    gradients = (
        [torch.autograd.grad((value * weight).sum(), x, allow_unused=True)[0] for value in (out, expected)]
        if any(segments)
        else []
    )
    if gradients:
        torch.testing.assert_close(*gradients)


def test_no_segment_at_all() -> None:
    assert segment_mean(
        torch.randn(4, 3), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    ).shape == (0, 3)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_maximum_and_mean_of_videos(lengths: list[int]) -> None:
    x = torch.randn(sum(lengths), 4, generator=torch.Generator().manual_seed(len(lengths))) - 3  # maxima below zero too
    video = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    parts = x.split(lengths)
    torch.testing.assert_close(video_max(x, video, len(lengths)), torch.stack([part.amax(0) for part in parts]))
    torch.testing.assert_close(video_mean(x, video, len(lengths)), torch.stack([part.mean(0) for part in parts]))


def test_nodes_in_any_order() -> None:
    x, video = torch.randn(6, 2), torch.tensor([1, 0, 2, 1, 0, 1])
    torch.testing.assert_close(video_max(x, video, 3), torch.stack([x[video == v].amax(0) for v in range(3)]))
    torch.testing.assert_close(video_mean(x, video, 3), torch.stack([x[video == v].mean(0) for v in range(3)]))


@pytest.mark.parametrize("function", [video_max, video_mean])
def test_gradients_by_finite_differences(function: object) -> None:
    x, video = torch.randn(6, 2, dtype=torch.float64, requires_grad=True), torch.tensor([0, 0, 0, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda value: function(value, video, 3), [x])
