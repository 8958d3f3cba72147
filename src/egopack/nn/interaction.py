"""How features consult the prototypes of a support task (section 5 of the method; arXiv 2502.02487, section III-D)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import egopack_native
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from egopack.nn.dropout import Dropout
from egopack.nn.exchange import NEGATIVE_SLOPE
from egopack.nn.sums import is_compiled

if TYPE_CHECKING:
    from egopack.params import InteractionParams

Distance = Literal["cosine", "l2"]
SIMILARITIES_AT_ONCE = 1 << 22  # bounds the [nodes x prototypes] table that the search holds at a time
SIMILARITIES_AT_ONCE_PORTABLY = 1 << 27


@torch.no_grad()
def nearest_prototypes(x: Tensor, prototypes: Tensor, k: int, distance: Distance) -> tuple[Tensor, Tensor]:
    """The k nearest prototypes [P, F] of each feature [N, F], nearest first: index [N, k] and weight relu(1 -
    distance) [N, k].
    """
    k = min(k, len(prototypes))
    if distance == "cosine":
        x, prototypes = F.normalize(x, dim=-1), F.normalize(prototypes, dim=-1)
    values, indices = [], []
    most = SIMILARITIES_AT_ONCE if is_compiled(x) else SIMILARITIES_AT_ONCE_PORTABLY
    at_once = max(1, most // len(prototypes))
    for rows in [x] if torch.compiler.is_exporting() else x.split(at_once):  # a program takes any number of rows
        near = 1 - rows @ prototypes.T if distance == "cosine" else torch.cdist(rows, prototypes)
        value, index = smallest(near, k)
        values.append(value)
        indices.append(index)
    return torch.cat(indices), torch.relu(1 - torch.cat(values))


def smallest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row of x [N, P], smallest first: values and indices [N, k]. Compiled on a CPU, where of
    equal ones the earlier comes first.
    """
    if not is_compiled(x):
        return x.topk(k, largest=False)
    values, index = x.new_empty(len(x), k), torch.empty(len(x), k, dtype=torch.int64)
    egopack_native.smallest(x.contiguous(), values, index)
    return values, index


def gather(x: Tensor, index: Tensor, weight: Tensor | None) -> Tensor:
    """Mean, or sum by weight [N, k], of the rows of x [P, F] that index [N, k] names -> [N, F]; x alone gets a
    gradient.
    """
    if is_compiled(x):
        return _Gather.apply(x, index, weight)
    return gather_by_bag(x, index, weight)


def gather_by_bag(x: Tensor, index: Tensor, weight: Tensor | None) -> Tensor:
    """`gather` for any device."""
    if weight is None:
        return F.embedding_bag(index, x, mode="mean")
    return F.embedding_bag(index, x, mode="sum", per_sample_weights=weight.to(x.dtype))


class _Gather(torch.autograd.Function):
    """`gather` with its way back in compiled code; torch's sorts all places and takes four times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, weight: Tensor | None) -> Tensor:
        ctx.index, ctx.weight, ctx.rows = index, weight, len(x)
        return gather_by_bag(x.detach(), index, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        grad_x = grads[0].new_empty(ctx.rows, grads[0].shape[1])
        egopack_native.scatter_rows(grads[0].contiguous(), ctx.index, ctx.weight, grad_x)
        return grad_x, None, None


class PrototypeConv(nn.Module):
    """One convolution over the graph prototypes -> features, either SAGE (mean, weights unused) or GraphConv
    (weighted sum).

    Prototypes have no incoming edges, so theirs is the root term and the bias.
    Shapes: features [N, i], prototypes [P, i], index and weight [N, k] -> [N, o], [P, o].
    """

    def __init__(self, input_size: int, output_size: int, name: Literal["sage", "graph"]) -> None:
        super().__init__()
        self.name = name
        self.neighbor = nn.Linear(input_size, output_size)
        self.root = nn.Linear(input_size, output_size, bias=False)

    def forward(self, x: Tensor, prototypes: Tensor, index: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        # the linear map first: [P, o] is small, and no [N, k, F] tensor is kept for backward
        projected = F.linear(prototypes, self.neighbor.weight)
        bias = self.neighbor.bias
        if not index.shape[1]:  # nothing is consulted
            return self.root(x) + bias, self.root(prototypes) + bias
        received = gather(projected, index, None if self.name == "sage" else weight)
        return received + bias + self.root(x), self.root(prototypes) + bias


class InteractionRound(nn.Module):
    """Dropout, convolutions to `hidden` with LeakyReLU between, Linear back to F. [N, F], [P, F] -> [N, F]"""

    def __init__(self, size: int, params: InteractionParams) -> None:
        super().__init__()
        self.dropout = Dropout(params.dropout)
        sizes = [size, *[params.hidden] * params.convs_per_round]
        self.conv = nn.ModuleList(PrototypeConv(i, o, params.conv) for i, o in pairwise(sizes))
        self.out = nn.Linear(params.hidden, size)

    def forward(self, x: Tensor, prototypes: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        x, prototypes = self.dropout(x), self.dropout(prototypes)
        for depth, conv in enumerate(self.conv):
            if depth:
                x, prototypes = F.leaky_relu(x, NEGATIVE_SLOPE), F.leaky_relu(prototypes, NEGATIVE_SLOPE)
            x, prototypes = conv(x, prototypes, index, weight)
        return self.out(x)


class Interaction(nn.Module):
    """The interaction with one support task's frozen prototypes [P, F], `rounds` times, each from the original
    prototypes. [N, F] -> [N, F]
    """

    prototypes: Tensor

    def __init__(self, prototypes: Tensor, params: InteractionParams) -> None:
        super().__init__()
        self.k, self.distance = params.k, params.distance
        self.register_buffer("prototypes", prototypes)
        self.round = nn.ModuleList(InteractionRound(prototypes.shape[1], params) for _ in range(params.rounds))

    def forward(self, x: Tensor) -> Tensor:
        return self.matched(x)[0]

    def matched(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features after the last round and, for each round, the prototypes [N, k] that were consulted, nearest
        first.
        """
        matches = []
        for one in self.round:
            index, weight = nearest_prototypes(x, self.prototypes, self.k, self.distance)
            x = one(x, self.prototypes, index, weight)
            matches.append(index)
        return x, matches
