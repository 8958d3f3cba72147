"""TDGC on the portable path: few operations, none of which adds from two sides.

The weights of all convolutions of a network lie in one table, so that what goes to the neighbors and what stays is one
matrix product, and the gates of all of them are computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from egopack.data.pyramid import Edges, EdgeSums
from egopack.data.sparse import Sparse
from egopack.nn.sums import add_up, full_precision, sum_rows

if TYPE_CHECKING:
    from egopack.nn.tdgc import TDGC

NEGATIVE_SLOPE, GATE_SLOPE = 0.2, 0.01
GATES = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}


@dataclass(frozen=True)
class Joint:
    """Of one convolution: the linear map [2H, H], [2H] to what goes to the neighbors and what stays, and the gates
    [U, H] of its edges' distances.
    """

    weight: Tensor
    bias: Tensor
    gates: Tensor


def sums_of(edges: Edges) -> EdgeSums:
    """What the portable path needs of edges."""
    sums = edges.prepared().sums
    assert sums is not None
    return sums


def join(convs: Sequence[TDGC], edges: Sequence[Edges]) -> list[Joint]:
    """Of convolutions of one kind, each with the edges that it is for."""
    one, count = convs[0], len(convs)
    parts: list[list[Tensor]] = [
        [weight for conv in convs for weight in (conv.neighbor.weight, conv.root.weight)],
        [bias for conv in convs for bias in (conv.neighbor.bias, conv.bias)],
    ]
    for layer in (0, 1) if one.gated else ():
        linear = [cast(nn.Linear, conv.gate[layer]) for conv in convs]
        parts += [[own.weight for own in linear], [own.bias for own in linear]]
    table = torch.cat([parameter.flatten() for part in parts for parameter in part])
    weights, biases, *gate_parts = table.split([sum(map(Tensor.numel, part)) for part in parts])
    distances = [sums_of(each).distances for each in edges]
    longest = max(at.shape[0] for at in distances)
    if one.gated:
        gates = _gates(one, _stacked(distances, longest), gate_parts)
    else:
        gates = weights.new_ones(count, longest, one.size)
    each = zip(
        weights.view(count, 2 * one.size, one.size).unbind(),
        biases.view(count, 2 * one.size).unbind(),
        gates.unbind(),
        distances,
        strict=True,
    )
    return [
        Joint(weight, bias, own if at.shape[0] == longest else own[: at.shape[0]]) for weight, bias, own, at in each
    ]


def _stacked(distances: Sequence[Tensor], longest: int) -> Tensor:
    if any(one.shape[0] < longest for one in distances):
        distances = [F.pad(one, (0, longest - one.shape[0])) for one in distances]
    return torch.stack(list(distances))


def _gates(conv: TDGC, distances: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """Gates [C, U, H] at distances [C, U] of C convolutions like `conv`, from their parameters in one table each;
    without autocast, since positions stay in float32.
    """
    count, inner = len(distances), conv.gate_size
    first, first_bias, second, second_bias = parts
    with torch.autocast(distances.device.type, enabled=False):
        shape = (count, 1, inner)
        hidden = torch.addcmul(first_bias.view(shape), distances[:, :, None].to(first.dtype), first.view(shape))
        hidden = F.leaky_relu(hidden, GATE_SLOPE)
        bias, weight = second_bias.view(count, 1, conv.size), second.view(count, conv.size, inner)
        return GATES[conv.gate_activation](torch.baddbmm(bias, hidden, weight.transpose(1, 2)))


def exchange(both: Tensor, gates: Tensor, edges: Edges, *, signed: bool, mean: bool) -> Tensor:
    """Sum or mean over the neighbors of sign * gate * LeakyReLU(message), plus what stays.

    Shapes: `both` [N, 2H], messages beside what stays; gates [U, H] -> [N, H].
    """
    sums = sums_of(edges)
    if sums.table is not None:
        return _Exchange.apply(both, gates, weighted(sums.table, edges, signed=signed, mean=mean))
    assert sums.ends is not None
    assert sums.source is not None
    assert sums.distance is not None
    message, root = both.chunk(2, dim=1)
    per_edge = sum_rows(F.leaky_relu(message, NEGATIVE_SLOPE), sums.source) * sum_rows(gates, sums.distance)
    return full_precision(root) + sum_rows(per_edge, weighted(sums.ends, edges, signed=signed, mean=mean))


def weighted(matrix: Sparse, edges: Edges, *, signed: bool, mean: bool) -> Sparse:
    """A matrix that has the edges as its entries, in their order, with the weight that each of them has."""
    if signed and mean:
        return matrix
    weight = edges.sign if signed else torch.ones_like(edges.sign)
    if mean:
        weight = weight / edges.degree[edges.target]
    back = weight[matrix.order]
    return replace(matrix, rows=replace(matrix.rows, weight=weight), back=replace(matrix.back, weight=back))


class _Exchange(torch.autograd.Function):
    """`exchange` with one row a node and distance, and the gradients by the transpose."""

    @staticmethod
    def forward(ctx: Any, both: Tensor, gates: Tensor, matrix: Sparse) -> Tensor:
        message, root = both.chunk(2, dim=1)
        message = F.leaky_relu(message, NEGATIVE_SLOPE)
        ctx.matrix = matrix
        ctx.save_for_backward(message, gates)
        return add_up((message * gates[:, None]).flatten(0, 1), matrix.rows).add_(root)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        message, gates = ctx.saved_tensors
        grad = grads[0].contiguous()
        received = add_up(grad, ctx.matrix.back).unflatten(0, (len(gates), len(message)))
        to_message = (received * gates[:, None]).sum(0).to(message.dtype)
        own = torch.ops.aten.leaky_relu_backward(to_message, message, NEGATIVE_SLOPE, True)
        return torch.cat([own, grad.to(own.dtype)], dim=1), (received * message).sum(1), None
