from __future__ import annotations

from typing import Any

import egopack_native
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.nn import GraphConv, SAGEConv

from egopack.nn import interaction as module
from egopack.nn.interaction import Interaction, PrototypeConv, gather, gather_by_bag, nearest_prototypes, smallest
from egopack.params import InteractionParams
from tests.support import small
from tests.support.threads import threads

N, P, SIZE = 6, 10, 4


def tensors(n: int = N, p: int = P, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, SIZE, generator=generator), torch.randn(p, SIZE, generator=generator)


def distance_by_loops(x: np.ndarray, prototypes: np.ndarray, name: str) -> np.ndarray:
    out = np.empty((len(x), len(prototypes)))
    for i, a in enumerate(x.astype(np.float64)):
        for j, b in enumerate(prototypes.astype(np.float64)):
            cosine = 1 - a @ b / (np.sqrt(a @ a) * np.sqrt(b @ b))
            out[i, j] = cosine if name == "cosine" else np.sqrt(((a - b) ** 2).sum())
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 15), st.sampled_from(["cosine", "l2"]), st.integers(0, 50))
def test_nearest_by_loops(n: int, p: int, k: int, name: Any, seed: int) -> None:
    x, prototypes = tensors(n, p, seed)
    table = distance_by_loops(x.numpy(), prototypes.numpy(), name)
    index, weight = nearest_prototypes(x, prototypes, k, name)
    assert index.shape == (n, min(k, p))
    near = np.sort(table, axis=1)[:, : min(k, p)]
    np.testing.assert_allclose(np.take_along_axis(table, index.numpy(), axis=1), near, atol=1e-5)
    np.testing.assert_allclose(weight, np.maximum(1 - near, 0), atol=1e-5)
    assert all(len(set(row)) == len(row) for row in index.tolist())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(1, 150), st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**31))
def test_smallest_by_sorting(n: int, p: int, k: int, values: int, seed: int) -> None:
    """Of few different values, so that many are equal, NaN and infinities among them."""
    generator, k = np.random.default_rng(seed), min(k, p)
    x = generator.integers(0, values, (n, p)).astype(np.float32)
    x[generator.random((n, p)) < 0.1] = generator.choice(np.float32([np.nan, np.inf, -np.inf]))
    value, index = smallest(torch.from_numpy(x), k)
    far = np.where(np.isnan(x), np.inf, x)
    expected = np.argsort(far, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(value, np.take_along_axis(far, expected, axis=1))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 400), st.integers(1, 30), st.integers(1, 9), st.integers(1, 70), st.booleans(), st.integers(0, 99)
)
def test_gathered_rows_and_their_gradient(n: int, p: int, k: int, size: int, weighted: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(p, size, generator=generator, requires_grad=True)
    index = torch.randint(0, p, (n, k), generator=generator)
    weight = torch.rand(n, k, generator=generator) if weighted else None
    rows = x.detach().double().requires_grad_()
    shares = torch.full((n, k), 1 / k, dtype=torch.float64) if weight is None else weight.double()
    expected = (rows[index] * shares[..., None]).sum(1)
    upstream = torch.randn(n, size, generator=generator)
    for out in (gather(x, index, weight), gather_by_bag(x, index, weight)):
        torch.testing.assert_close(out, expected.float())
        (grad,) = torch.autograd.grad(out, x, upstream)
        (wanted,) = torch.autograd.grad(expected, rows, upstream.double(), retain_graph=True)
        torch.testing.assert_close(grad, wanted.float(), atol=1e-4, rtol=1e-4)


def test_the_same_bits_for_any_number_of_threads() -> None:
    x, index = torch.randn(900, 300), torch.randint(0, 300, (900, 8))
    found = []
    for count in (1, 2, 5):
        with threads(count):
            grad = torch.empty(300, 300)
            egopack_native.scatter_rows(x, index, None, grad)
            found.append((*smallest(x, 8), grad))
    for other in found[1:]:
        assert all(torch.equal(got, want) for got, want in zip(other, found[0], strict=True))


def test_a_place_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="index: no row 3"):
        egopack_native.scatter_rows(torch.zeros(1, 2), torch.tensor([[3]]), None, torch.zeros(3, 2))
    with pytest.raises(ValueError, match="k is larger than a row"):
        egopack_native.smallest(torch.zeros(1, 2), torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.int64))


def test_a_large_search_goes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, prototypes = tensors()
    whole = nearest_prototypes(x, prototypes, 3, "cosine")
    for limit in (1, P, 2 * P + 1):
        monkeypatch.setattr(module, "SIMILARITIES_AT_ONCE", limit)
        for got, want in zip(nearest_prototypes(x, prototypes, 3, "cosine"), whole, strict=True):
            torch.testing.assert_close(got, want)


def test_the_search_has_no_gradient() -> None:
    x, prototypes = tensors()
    _, weight = nearest_prototypes(x.requires_grad_(), prototypes, 3, "cosine")
    assert not weight.requires_grad


@pytest.mark.parametrize("name", ["sage", "graph"])
def test_convolution_equals_that_of_pyg(name: Any) -> None:
    x, prototypes = (value.requires_grad_() for value in tensors())
    conv = small.randomize(PrototypeConv(SIZE, 5, name))
    index, weight = nearest_prototypes(x, prototypes, 3, "cosine")
    source, target = index.flatten(), P + torch.arange(N).repeat_interleave(3)
    theirs = SAGEConv(SIZE, 5) if name == "sage" else GraphConv(SIZE, 5, aggr="add")
    neighbor, root = (theirs.lin_l, theirs.lin_r) if name == "sage" else (theirs.lin_rel, theirs.lin_root)
    neighbor.load_state_dict(conv.neighbor.state_dict())
    root.load_state_dict(conv.root.state_dict())
    table = torch.cat([prototypes, x])
    extra = () if name == "sage" else (weight.flatten(),)
    expected = theirs(table, torch.stack([source, target]), *extra)
    features, others = conv(x, prototypes, index, weight)
    torch.testing.assert_close(features, expected[P:])
    torch.testing.assert_close(others, expected[:P])
    ours = torch.autograd.grad(features.square().sum() + others.square().sum(), [x, prototypes])
    for got, want in zip(ours, torch.autograd.grad(expected.square().sum(), [x, prototypes]), strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def interaction_of(prototypes: Tensor, **changes: Any) -> Interaction:
    params = InteractionParams.model_validate({"k": 3, "hidden": 5} | changes)
    return small.randomize(Interaction(prototypes.clone(), params)).eval()


@pytest.mark.parametrize("conv", ["sage", "graph"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_round_starts_from_the_original_prototypes(conv: str, depth: int) -> None:
    x, prototypes = tensors()
    net = interaction_of(prototypes, conv=conv, rounds=2, convs_per_round=depth)
    expected, matches = x, []
    for one in net.round:
        index, weight = nearest_prototypes(expected, prototypes, 3, "cosine")
        matches.append(index)
        features, others = expected, prototypes
        for number, layer in enumerate(one.conv):
            if number:
                features, others = F.leaky_relu(features, 0.2), F.leaky_relu(others, 0.2)
            features, others = layer(features, others, index, weight)
        expected = one.out(features)
    out, found = net.matched(x)
    torch.testing.assert_close(out, expected)
    assert [torch.equal(got, want) for got, want in zip(found, matches, strict=True)] == [True, True]
    torch.testing.assert_close(net(x), expected)
    assert torch.equal(net.prototypes, prototypes)


def test_fewer_prototypes_than_neighbors() -> None:
    x, prototypes = tensors(p=2)
    out, (match,) = interaction_of(prototypes, k=8).matched(x)
    assert match.shape == (N, 2)
    torch.testing.assert_close(out, interaction_of(prototypes, k=2)(x))


def test_prototypes_are_saved_and_never_trained() -> None:
    x, prototypes = tensors()
    net = interaction_of(prototypes)
    assert "prototypes" in net.state_dict()
    assert "prototypes" not in dict(net.named_parameters())
    net(x.requires_grad_()).sum().backward()
    assert net.prototypes.grad is None
    assert x.grad is not None
    assert x.grad.any()


def test_a_feature_of_length_zero_is_finite() -> None:
    prototypes = tensors()[1]
    assert interaction_of(prototypes)(torch.zeros(2, SIZE)).isfinite().all()
    assert interaction_of(torch.zeros(P, SIZE))(torch.randn(2, SIZE)).isfinite().all()
