from __future__ import annotations

import egopack_native
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from egopack.data.batch import SegmentNodes
from egopack.data.sparse import Groups
from egopack.nn.heads import Classifier, Neck, NormedLinear, segment_mean, video_max, video_mean
from tests.support import small


def test_neck_by_hand() -> None:
    neck = small.randomize(Neck(6, 4, 0.0))
    x = torch.randn(5, 6)
    weights = dict(neck.named_parameters())
    hidden = F.layer_norm(
        F.linear(x, weights["0.weight"], weights["0.bias"]), [4], weights["norm.weight"], weights["norm.bias"]
    )
    torch.testing.assert_close(neck(x), F.linear(hidden.relu(), weights["1.weight"], weights["1.bias"]))


def test_classifier_by_hand() -> None:
    head = small.randomize(Classifier(6, 3, hidden=4, dropout=0.0))
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


def ranges(pairs: list[tuple[int, int]]) -> SegmentNodes:
    first = torch.tensor([min(pair) for pair in pairs], dtype=torch.int64)
    last = torch.tensor([max(pair) for pair in pairs], dtype=torch.int64)
    return SegmentNodes(first, last, 7)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=6), width=st.sampled_from([1, 3, 70]))
def test_segment_mean_by_brute_force(code_path: str, pairs: list[tuple[int, int]], width: int) -> None:
    nodes = ranges(pairs)
    x = torch.randn(7, width, generator=torch.Generator().manual_seed(0)).requires_grad_()
    out = segment_mean(x, nodes)
    parts = [x[first:last] for first, last in zip(nodes.first.tolist(), nodes.last.tolist(), strict=True)]
    means = [part.mean(0) if len(part) else torch.zeros(width) for part in parts]
    expected = torch.stack(means) if means else torch.zeros(0, width)
    torch.testing.assert_close(out, expected)
    if (nodes.last > nodes.first).any():
        weight = torch.arange(out.numel(), dtype=torch.float32).reshape(out.shape)
        gradients = [torch.autograd.grad((value * weight).sum(), x)[0] for value in (out, expected)]
        torch.testing.assert_close(*gradients)


def test_long_segments_lose_nothing_to_rounding() -> None:
    x = 1e3 + torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    nodes = SegmentNodes(torch.tensor([0, 19_990]), torch.tensor([20_000, 20_000]), 20_000)
    exact = torch.stack([x.double().mean(0), x[19_990:].double().mean(0)])
    torch.testing.assert_close(segment_mean(x, nodes).double(), exact, rtol=1e-7, atol=0)


@pytest.mark.parametrize(
    ("x", "first", "last", "message"),
    [
        (torch.zeros(4, 2), [0], [5], "outside of the 4 rows"),
        (torch.zeros(4, 2), [-1], [2], "outside of the 4 rows"),
        (torch.zeros(4, 2), [0, 1], [2], "last"),
    ],
)
def test_ranges_are_checked(x: torch.Tensor, first: list[int], last: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        egopack_native.range_means(x, torch.tensor(first), torch.tensor(last), torch.zeros(len(first), 2))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_maximum_and_mean_of_videos(lengths: list[int], code_path: str) -> None:
    x = torch.randn(sum(lengths), 4, generator=torch.Generator().manual_seed(len(lengths))) - 3  # maxima below zero too
    videos = Groups(torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)), len(lengths))
    parts = x.split(lengths)
    torch.testing.assert_close(video_max(x, videos), torch.stack([part.amax(0) for part in parts]))
    torch.testing.assert_close(video_mean(x, videos), torch.stack([part.mean(0) for part in parts]))


def test_nodes_in_any_order(code_path: str) -> None:
    x, video = torch.randn(6, 2), torch.tensor([1, 0, 2, 1, 0, 1])
    torch.testing.assert_close(video_max(x, Groups(video, 3)), torch.stack([x[video == v].amax(0) for v in range(3)]))
    torch.testing.assert_close(video_mean(x, Groups(video, 3)), torch.stack([x[video == v].mean(0) for v in range(3)]))


@pytest.mark.parametrize("function", [video_max, video_mean])
def test_gradients_by_finite_differences(function: object) -> None:
    x, video = torch.randn(6, 2, dtype=torch.float64, requires_grad=True), torch.tensor([0, 0, 0, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda value: function(value, Groups(video, 3)), [x])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("training", [True, False])
def test_classifier_with_context_is_that_of_both_side_by_side(dropout: float, training: bool, code_path: str) -> None:
    head = small.randomize(Classifier(10, 3, hidden=4, dropout=dropout)).train(training)
    assert isinstance(head, Classifier)
    x, context = torch.randn(7, 6, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    owner = torch.tensor([0, 0, 1, 0, 1, 1, 1])
    found = []
    for run in (
        lambda: head.with_context(x, context, Groups(owner, 2)),
        lambda: head(torch.cat([x, context[owner]], dim=1)),
    ):
        torch.manual_seed(0)
        out = run()
        found.append([out, *torch.autograd.grad(out.sin().sum(), [x, context, *head.parameters()])])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)
