"""Temporal distance-gated convolution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import egopack_native
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from egopack.data.pyramid import Edges
from egopack.data.sparse import Sparse
from egopack.nn.precision import full_precision
from egopack.nn.sums import add_up, is_compiled, sum_rows

NEGATIVE_SLOPE = 0.2
MOST_DISTANCES = 256  # beyond, the graph is irregular and a table of gates is as long as the list of edges
GATES = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}


class TDGC(nn.Module):
    r"""Temporal distance-gated convolution (arXiv 2502.02487, section III-B).

    .. math::
        out_i = \mathrm{mean}_j\, \mathrm{sign}(p_j - p_i)\, g(|p_j - p_i|) \odot \mathrm{LeakyReLU}_{0.2}(W_n x_j +
        b_n) + W_r x_i + b

    with :math:`g(d) = \tanh(W_2\, \mathrm{LeakyReLU}_{0.01}(W_1 d + b_1) + b_2)`. A node with no neighbor gets the
    root term alone.

    Args:
        size: width H of nodes, in and out.
        gate_size: hidden width G of the gate.
        aggr: "mean" or "sum" over the neighbors.
        signed: False leaves the sign out.
        gated: False leaves g out.
        gate_activation: "tanh", "sigmoid" or "relu".

    Shapes: x [N, H] and edges over N nodes -> [N, H].
    """

    def __init__(
        self,
        size: int,
        *,
        gate_size: int = 256,
        aggr: Literal["mean", "sum"] = "mean",
        signed: bool = True,
        gated: bool = True,
        gate_activation: Literal["tanh", "sigmoid", "relu"] = "tanh",
    ) -> None:
        super().__init__()
        self.size, self.aggr, self.signed, self.gated, self.gate_activation = size, aggr, signed, gated, gate_activation
        self.neighbor = nn.Linear(size, size)
        self.root = nn.Linear(size, size, bias=False)
        self.gate = nn.ModuleList([nn.Linear(1, gate_size), nn.Linear(gate_size, size)])
        self.bias = nn.Parameter(torch.zeros(size))
        nn.init.eye_(self.neighbor.weight)
        nn.init.zeros_(self.neighbor.bias)

    def gates(self, distances: Tensor) -> Tensor:
        """g at each of the distances [U] (seconds) -> [U, H], without autocast: positions stay in float32."""
        with torch.autocast(distances.device.type, enabled=False):
            hidden = F.leaky_relu(self.gate[0](distances[:, None]), 0.01)
            return GATES[self.gate_activation](self.gate[1](hidden))

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """Convolve x [N, H] over the edges -> [N, H]."""
        message = F.leaky_relu(self.neighbor(x), NEGATIVE_SLOPE, inplace=True)
        gates = self.gates(edges.distances) if self.gated else None
        root = F.linear(x, self.root.weight, self.bias)
        return aggregate(message, gates, edges, signed=self.signed, mean=self.aggr == "mean", onto=root)

    def extra_repr(self) -> str:
        names = ("aggr", "signed", "gated", "gate_activation")
        return ", ".join([str(self.size), *(f"{name}={getattr(self, name)}" for name in names)])


def aggregate(
    message: Tensor, gates: Tensor | None, edges: Edges, *, signed: bool, mean: bool, onto: Tensor | None = None
) -> Tensor:
    """Sum or mean over the neighbors of sign * gate * message, added to `onto`, whose memory may become the result's.

    Compiled on a CPU where few distinct distances occur, as on any regular grid.
    Shapes: message [N, H], gates [U, H] or None, onto [N, H] or None -> [N, H].
    """
    message, onto = full_precision(message), None if onto is None else full_precision(onto)
    if is_compiled(message) and (gates is None or len(gates) <= MOST_DISTANCES):
        return _Compiled.apply(message, gates, torch.zeros_like(message) if onto is None else onto, edges, signed, mean)
    if gates is None:
        gates = message.new_ones(edges.distances.shape[0], message.shape[1])
    edges = edges.prepared()
    assert edges.sums is not None
    table = edges.sums.table
    if table is not None:
        out = _ByDistance.apply(message, gates, weighted(table, edges, signed=signed, mean=mean))
    else:
        out = _by_edge(message, gates, edges, signed=signed, mean=mean)
    return out if onto is None else onto + out


def weighted(matrix: Sparse, edges: Edges, *, signed: bool, mean: bool) -> Sparse:
    """A matrix that has the edges as its entries, in their order, with the weight that each of them has."""
    if signed and mean:
        return matrix
    weight = edges.sign if signed else torch.ones_like(edges.sign)
    if mean:
        weight = weight / edges.degree[edges.target]
    back = weight[matrix.order]
    return replace(matrix, rows=replace(matrix.rows, weight=weight), back=replace(matrix.back, weight=back))


def _by_edge(message: Tensor, gates: Tensor, edges: Edges, *, signed: bool, mean: bool) -> Tensor:
    """`aggregate` with one row an edge, for any graph."""
    sums = edges.sums
    assert sums is not None
    assert sums.ends is not None and sums.source is not None and sums.distance is not None  # noqa: PT018
    per_edge = sum_rows(message, sums.source) * sum_rows(gates, sums.distance)
    return sum_rows(per_edge, weighted(sums.ends, edges, signed=signed, mean=mean))


class _ByDistance(torch.autograd.Function):
    """`aggregate` with one row a node and distance, and the gradients by the transpose."""

    @staticmethod
    def forward(ctx: Any, message: Tensor, gates: Tensor, matrix: Sparse) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(message, gates)
        return add_up((message * gates[:, None]).flatten(0, 1), matrix.rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        message, gates = ctx.saved_tensors
        received = add_up(grads[0].contiguous(), ctx.matrix.back).unflatten(0, (len(gates), len(message)))
        return (received * gates[:, None]).sum(0), (received * message).sum(1), None


class _Compiled(torch.autograd.Function):
    """`aggregate` in compiled code, which relies on the reverse of every edge being an edge."""

    @staticmethod
    def forward(
        ctx: Any, message: Tensor, gates: Tensor | None, onto: Tensor, edges: Edges, signed: bool, mean: bool
    ) -> Tensor:
        message, gates = message.detach().contiguous(), None if gates is None else gates.detach().contiguous()
        ctx.mark_dirty(onto)
        egopack_native.aggregate(
            edges.row_start, edges.source, edges.sign, edges.distance_id, message, gates, onto.detach(), signed, mean
        )
        ctx.edges, ctx.signed, ctx.mean = edges, signed, mean
        ctx.save_for_backward(message, gates)
        return onto

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None, None, None]:
        message, gates = ctx.saved_tensors
        edges, grad = ctx.edges, grads[0].contiguous()
        grad_message, grad_gates = torch.empty_like(message), None if gates is None else torch.empty_like(gates)
        egopack_native.aggregate_backward(
            edges.row_start,
            edges.source,
            edges.sign,
            edges.distance_id,
            grad,
            message,
            gates,
            grad_message,
            grad_gates,
            ctx.signed,
            ctx.mean,
        )
        return grad_message, grad_gates, grads[0], None, None, None
