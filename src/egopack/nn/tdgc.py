"""Temporal distance-gated convolution."""

from __future__ import annotations

from typing import Any, Literal

import egopack_native
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from egopack.data.pyramid import Edges
from egopack.nn.exchange import GATE_SLOPE, GATES, NEGATIVE_SLOPE, Joint, exchange, join
from egopack.nn.sums import full_precision, is_compiled

MOST_DISTANCES = 256  # beyond, the graph is irregular and a table of gates is as long as the list of edges


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
        self.gate_size = gate_size
        self.neighbor = nn.Linear(size, size)
        self.root = nn.Linear(size, size, bias=False)
        self.gate = nn.ModuleList([nn.Linear(1, gate_size), nn.Linear(gate_size, size)])
        self.bias = nn.Parameter(torch.zeros(size))
        nn.init.eye_(self.neighbor.weight)
        nn.init.zeros_(self.neighbor.bias)

    def gates(self, distances: Tensor) -> Tensor:
        """g at each of the distances [U] (seconds) -> [U, H], without autocast: positions stay in float32."""
        with torch.autocast(distances.device.type, enabled=False):
            hidden = F.leaky_relu(self.gate[0](distances[:, None]), GATE_SLOPE)
            return GATES[self.gate_activation](self.gate[1](hidden))

    def forward(self, x: Tensor, edges: Edges, joint: Joint | None = None) -> Tensor:
        """Convolve x [N, H] over the edges -> [N, H]; `joint` is what `join` makes of this convolution, if it is
        already there.
        """
        mean = self.aggr == "mean"
        if is_compiled(x) and (not self.gated or len(edges.distances) <= MOST_DISTANCES):
            message = F.leaky_relu(self.neighbor(x), NEGATIVE_SLOPE, inplace=True)
            gates = self.gates(edges.distances) if self.gated else None
            root = F.linear(x, self.root.weight, self.bias)
            return aggregate(message, gates, edges, signed=self.signed, mean=mean, onto=root)
        joint = join([self], [edges])[0] if joint is None else joint
        return exchange(F.linear(x, joint.weight, joint.bias), joint.gates, edges, signed=self.signed, mean=mean)

    def extra_repr(self) -> str:
        names = ("aggr", "signed", "gated", "gate_activation")
        return ", ".join([str(self.size), *(f"{name}={getattr(self, name)}" for name in names)])


def aggregate(message: Tensor, gates: Tensor | None, edges: Edges, *, signed: bool, mean: bool, onto: Tensor) -> Tensor:
    """Sum or mean over the neighbors of sign * gate * message, added to `onto`, whose memory may become the result's;
    compiled.

    Shapes: message [N, H], gates [U, H] or None, onto [N, H] -> [N, H].
    """
    return _Compiled.apply(full_precision(message), gates, full_precision(onto), edges, signed, mean)


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
