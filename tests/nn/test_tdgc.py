"""TDGC against a message-passing class of PyG, in both of its forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from torch_geometric.nn import MessagePassing

from egopack.data.pyramid import Edges, radius_edges
from egopack.nn.exchange import exchange, sums_of
from egopack.nn.tdgc import MOST_DISTANCES, TDGC, aggregate
from tests.support import small
from tests.support.threads import threads

OPTIONS: list[dict[str, Any]] = [
    {},
    {"aggr": "sum"},
    {"signed": False},
    {"gated": False},
    {"gated": False, "signed": False, "aggr": "sum"},
    {"gate_activation": "sigmoid"},
    {"gate_activation": "relu", "aggr": "sum"},
]


class Plain(MessagePassing):
    """The formula of the class, message by message, with the weights of a TDGC."""

    def __init__(self, conv: TDGC) -> None:
        super().__init__(aggr=conv.aggr)
        self.conv = conv

    def forward(self, x: Tensor, pos: Tensor, edge_index: Tensor) -> Tensor:
        received = self.propagate(edge_index, x=x, pos=pos[:, None])
        return received + F.linear(x, self.conv.root.weight) + self.conv.bias

    def message(self, x_j: Tensor, pos_i: Tensor, pos_j: Tensor) -> Tensor:
        out = F.leaky_relu(F.linear(x_j, self.conv.neighbor.weight, self.conv.neighbor.bias), 0.2)
        if self.conv.signed:
            out = out * torch.sign(pos_j - pos_i)
        if self.conv.gated:
            first, second = self.conv.gate
            hidden = F.leaky_relu(torch.abs(pos_j - pos_i) @ first.weight.T + first.bias, 0.01)
            out = out * getattr(torch, self.conv.gate_activation)(hidden @ second.weight.T + second.bias)
        return out


@dataclass(frozen=True)
class Graph:
    x: Tensor
    pos: Tensor
    lengths: list[int]
    radius: float

    @property
    def edges(self) -> Edges:
        return radius_edges(self.pos.numpy(), self.lengths, self.radius)

    @property
    def edge_index(self) -> Tensor:
        video = np.repeat(np.arange(len(self.lengths)), self.lengths)
        n = len(self.pos)
        near = [(j, i) for j in range(n) for i in range(n) if abs(float(self.pos[i] - self.pos[j])) <= self.radius]
        return torch.tensor([(j, i) for j, i in near if i != j and video[i] == video[j]]).reshape(-1, 2).T


def graph_of(lengths: list[int], *, size: int = 8, radius: float = 2.0, seed: int = 0, ties: bool = True) -> Graph:
    generator = np.random.default_rng(seed)
    parts = [np.sort(generator.integers(0, 4 * n, n) / 4 if ties else generator.uniform(0, n, n)) for n in lengths]
    x = torch.from_numpy(generator.standard_normal((sum(lengths), size), dtype=np.float32))
    return Graph(x, torch.from_numpy(np.concatenate(parts).astype(np.float32)), lengths, radius)


def conv_of(size: int = 8, **options: Any) -> TDGC:
    conv = TDGC(size, gate_size=5, **options)
    small.randomize(conv)
    return conv


def outputs_and_gradients(conv: TDGC, run: Any, x: Tensor) -> list[Tensor]:
    """The output and the gradients of x and of every parameter, of a loss that weights all outputs differently."""
    leaf = x.clone().requires_grad_()
    out = run(leaf)
    weight = torch.linspace(-1, 1, out.numel()).reshape(out.shape)
    gradients = torch.autograd.grad((out * weight).sum(), [leaf, *conv.parameters()], allow_unused=True)
    return [out.detach(), *(torch.zeros(()) if gradient is None else gradient for gradient in gradients)]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_message_passing_with_gradients(options: dict[str, Any], code_path: str) -> None:
    graph, conv = graph_of([9, 1, 6, 3]), conv_of(**options)
    plain, edges = Plain(conv), graph.edges
    ours = outputs_and_gradients(conv, lambda x: conv(x, edges), graph.x)
    theirs = outputs_and_gradients(conv, lambda x: plain(x, graph.pos, graph.edge_index), graph.x)
    for got, want in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    radius=st.sampled_from([0.2, 1.0, 2.0, 5.0]),
    size=st.sampled_from([1, 3, 16]),
    seed=st.integers(0, 99),
    signed=st.booleans(),
    mean=st.booleans(),
    gated=st.booleans(),
)
def test_compiled_equals_portable(
    lengths: list[int], radius: float, size: int, seed: int, signed: bool, mean: bool, gated: bool
) -> None:
    graph = graph_of(lengths, size=size, radius=radius, seed=seed)
    edges = graph.edges
    generator = torch.Generator().manual_seed(seed)
    merged = sums_of(edges).distances
    which = torch.searchsorted(merged, edges.distances - 1e-3)
    gates = torch.randn(len(merged), size, generator=generator)
    root = torch.randn(graph.x.shape, generator=generator)
    grad = torch.randn(graph.x.shape, generator=generator)
    found = []
    for code in ("compiled", "portable"):
        message, onto, gate = (one.clone().requires_grad_() for one in (graph.x, root, gates))
        if code == "compiled":
            sent, own = F.leaky_relu(message, 0.2), gate[which] if gated else None
            out = aggregate(sent, own, edges, signed=signed, mean=mean, onto=onto + 0)
        else:
            own = gate if gated else torch.ones_like(gate)
            out = exchange(torch.cat([message, onto], dim=1), own, edges, signed=signed, mean=mean)
        out.backward(grad)
        found.append([out.detach(), message.grad, onto.grad, gate.grad if gated else torch.zeros(())])
    for got, want in zip(*found, strict=True):
        assert got is not None
        assert want is not None
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_gradients_by_finite_differences() -> None:
    graph, conv = graph_of([5, 3], size=3, ties=False), conv_of(3).double()
    edges = graph.edges
    edges.distances.data = edges.distances.double()
    names, values = zip(*conv.named_parameters(), strict=True)

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(conv, dict(zip(names, parameters, strict=True)), (x, edges))

    inputs = [value.detach().clone().requires_grad_() for value in (graph.x.double(), *values)]
    assert torch.autograd.gradcheck(run, inputs)


def aggregated() -> list[Tensor]:
    """Aggregation and gradients of a graph that is worth several threads."""
    pos = (0.5 + np.arange(700)) * 0.5
    edges = radius_edges(np.concatenate([pos, pos]), [700, 700], 2.0)
    generator = torch.Generator().manual_seed(0)
    message = torch.randn(1400, 128, generator=generator).requires_grad_()
    gates = torch.randn(len(edges.distances), 128, generator=generator).requires_grad_()
    assert len(edges.source) * 128 > 1 << 20
    out = aggregate(message, gates, edges, signed=True, mean=True, onto=torch.zeros_like(message))
    out.backward(torch.randn(out.shape, generator=generator))
    assert message.grad is not None
    assert gates.grad is not None
    return [out.detach(), message.grad, gates.grad]


def test_the_same_bits_every_time_and_for_any_number_of_threads() -> None:
    first = aggregated()
    for count in (1, 2, 5):
        with threads(count):
            for got, want in zip(aggregated(), first, strict=True):
                assert torch.equal(got, want)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_irregular_graph_has_a_row_an_edge(options: dict[str, Any]) -> None:
    graph, conv = graph_of([60], ties=False, radius=5.0), conv_of(**options)
    assert len(graph.edges.distances) > MOST_DISTANCES
    sums = graph.edges.prepared().sums
    assert sums is not None
    assert sums.table is None
    plain, edges = Plain(conv), graph.edges
    ours = outputs_and_gradients(conv, lambda x: conv(x, edges), graph.x)
    theirs = outputs_and_gradients(conv, lambda x: plain(x, graph.pos, graph.edge_index), graph.x)
    for got, want in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)


def test_a_node_with_no_neighbor_gets_the_root_term_alone(code_path: str) -> None:
    conv = conv_of()
    x = torch.randn(4, 8)
    edges = radius_edges(np.array([0.0, 100.0, 0.0, 0.5]), [2, 2], 2.0)
    expected = x @ conv.root.weight.T + conv.bias
    out = conv(x, edges)
    torch.testing.assert_close(out[:2], expected[:2])
    assert not torch.allclose(out[2:], expected[2:])
    for lengths in ([1], [1, 1]):
        alone = conv(x[: len(lengths)], radius_edges(np.zeros(len(lengths)), lengths, 2.0))
        torch.testing.assert_close(alone, expected[: len(lengths)])
        alone.sum().backward()
        assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in conv.parameters())


def test_a_neighbor_at_the_same_place_sends_nothing_but_counts(code_path: str) -> None:
    conv = conv_of()
    x = torch.randn(3, 8)
    together = conv(x, radius_edges(np.array([0.0, 0.0, 1.0]), [3], 2.0)) - conv.root(x) - conv.bias
    apart = conv(x[[0, 2]], radius_edges(np.array([0.0, 1.0]), [2], 2.0)) - conv.root(x[[0, 2]]) - conv.bias
    torch.testing.assert_close(together[0], apart[0] / 2)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_videos_of_a_batch_do_not_meet(options: dict[str, Any], code_path: str) -> None:
    graph, conv = graph_of([7, 1, 5]), conv_of(**options)
    together = conv(graph.x, graph.edges)
    alone = [
        conv(x, radius_edges(pos.numpy(), [len(pos)], 2.0))
        for x, pos in zip(graph.x.split(graph.lengths), graph.pos.split(graph.lengths), strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_initial_values() -> None:
    conv = TDGC(6)
    assert torch.equal(conv.neighbor.weight, torch.eye(6))
    assert not conv.neighbor.bias.any()
    assert not conv.bias.any()
    assert [tuple(layer.weight.shape) for layer in conv.gate] == [(256, 1), (6, 256)]
    assert conv.root.bias is None


def test_repr() -> None:
    assert repr(TDGC(4, aggr="sum", signed=False)).startswith(
        "TDGC(\n  4, aggr=sum, signed=False, gated=True, gate_activation=tanh"
    )


def test_a_second_derivative_is_refused_rather_than_wrong() -> None:
    graph, conv = graph_of([5]), conv_of()
    x = graph.x.clone().requires_grad_()
    (first,) = torch.autograd.grad(conv(x, graph.edges).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()
