"""How features consult the prototypes of a support task (section 5 of the method; arXiv 2502.02487, section III-D)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egopack.nn.dropout import Dropout
from egopack.nn.tdgc import NEGATIVE_SLOPE

if TYPE_CHECKING:
    from egopack.params import InteractionParams

Distance = Literal["cosine", "l2"]
SIMILARITIES_AT_ONCE = 1 << 22  # bounds the [nodes x prototypes] table that the search holds at a time


@torch.no_grad()
def nearest_prototypes(x: Tensor, prototypes: Tensor, k: int, distance: Distance) -> tuple[Tensor, Tensor]:
    """The k nearest prototypes [P, F] of each feature [N, F], nearest first: index [N, k] and weight relu(1 -
    distance) [N, k].
    """
    k = min(k, len(prototypes))
    if distance == "cosine":
        x, prototypes = F.normalize(x, dim=-1), F.normalize(prototypes, dim=-1)
    values, indices = [], []
    for rows in x.split(max(1, SIMILARITIES_AT_ONCE // len(prototypes))):
        near = 1 - rows @ prototypes.T if distance == "cosine" else torch.cdist(rows, prototypes)
        value, index = near.topk(k, largest=False)
        values.append(value)
        indices.append(index)
    return torch.cat(indices), torch.relu(1 - torch.cat(values))


class PrototypeConv(nn.Module):
    """One convolution over the graph prototypes -> features, either SAGE (mean, weights unused) or GraphConv
    (weighted sum).

    Prototypes have no incoming edges, so theirs is the root term and the bias.
    Shapes: features [N, i], prototypes [P, i], index and weight [N, k] -> [N, o], [P, o].
    """

    def __init__(self, input_size: int, output_size: int, name: Literal["sage", "graph"]) -> None:
        super().__init__()
        self.name = name
        self.neighbour = nn.Linear(input_size, output_size)
        self.root = nn.Linear(input_size, output_size, bias=False)

    def forward(self, x: Tensor, prototypes: Tensor, index: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        # the linear map first: [P, o] is small, and no [N, k, F] tensor is kept for backward
        projected = F.linear(prototypes, self.neighbour.weight)
        if self.name == "sage":
            received = F.embedding_bag(index, projected, mode="mean")
        else:
            received = F.embedding_bag(index, projected, mode="sum", per_sample_weights=weight.to(projected.dtype))
        bias = self.neighbour.bias
        return received + bias + self.root(x), self.root(prototypes) + bias


class InteractionStage(nn.Module):
    """Dropout, convolutions to `hidden` with LeakyReLU between, Linear back to F. [N, F], [P, F] -> [N, F]"""

    def __init__(self, size: int, params: InteractionParams) -> None:
        super().__init__()
        self.dropout = Dropout(params.dropout)
        sizes = [size, *[params.hidden] * params.convs_per_stage]
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
    """The interaction with one support task's frozen prototypes [P, F], `stages` times, each from the original
    prototypes. [N, F] -> [N, F]
    """

    prototypes: Tensor

    def __init__(self, prototypes: Tensor, params: InteractionParams) -> None:
        super().__init__()
        self.k, self.distance = params.k, params.distance
        self.register_buffer("prototypes", prototypes)
        self.stage = nn.ModuleList(InteractionStage(prototypes.shape[1], params) for _ in range(params.stages))

    def forward(self, x: Tensor) -> Tensor:
        return self.matched(x)[0]

    def matched(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features after the last stage and, for each stage, the prototypes [N, k] that were consulted, nearest
        first.
        """
        matches = []
        for stage in self.stage:
            index, weight = nearest_prototypes(x, self.prototypes, self.k, self.distance)
            x = stage(x, self.prototypes, index, weight)
            matches.append(index)
        return x, matches
