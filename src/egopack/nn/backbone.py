"""The hierarchical temporal graph network that all tasks share (section 3 of the method)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egopack.data.pyramid import Level, Pool, Pooling, Pyramid
from egopack.nn.convolutions import make_convolution
from egopack.nn.dropout import Dropout
from egopack.nn.exchange import NEGATIVE_SLOPE, Joint, join, sums_of
from egopack.nn.sums import full_precision, is_compiled, sum_rows
from egopack.nn.tdgc import TDGC

if TYPE_CHECKING:
    from egopack.params import BackboneParams


def pool_nodes(x: Tensor, pooling: Pooling, pool: Pool) -> Tensor:
    """Pool [N, H] to the even nodes [N_next, H] of every video: weighted mean (1, 2, 1), maximum, or the even nodes
    as they are.
    """
    if not is_compiled(x):
        return _pool_portably(x, pooling, pool)
    center = x[pooling.center]
    if pool == "subsample":
        return center
    left, right = x[pooling.left], x[pooling.right]
    if pool == "max":  # where a neighbor is missing its index is the node itself
        return torch.maximum(center, torch.maximum(left, right))
    left_weight, right_weight = pooling.left_weight[:, None].to(x.dtype), pooling.right_weight[:, None].to(x.dtype)
    return (2 * center + left_weight * left + right_weight * right) / (2 + left_weight + right_weight)


def _pool_portably(x: Tensor, pooling: Pooling, pool: Pool) -> Tensor:
    sums = pooling.prepared().sums
    assert sums is not None
    if pool == "mean":
        return sum_rows(x, sums.mean)
    three = sum_rows(x, sums.three).unflatten(0, (3, -1))
    return three.amax(dim=0) if pool == "max" else three[1]


class LevelBlock(nn.Module):
    """h + block(h) with block = Dropout, conv, LeakyReLU, conv, LayerNorm, LeakyReLU; optional norm before, optional
    FFN after. [N, H] -> [N, H]
    """

    def __init__(self, params: BackboneParams) -> None:
        super().__init__()
        size = params.hidden
        self.dropout = Dropout(params.dropout)
        self.conv_norm = nn.LayerNorm(size) if params.pre_norm else None
        self.conv = nn.ModuleList(
            make_convolution(params.conv.name, size, params.conv) for _ in range(params.convs_per_level)
        )
        self.norm = nn.LayerNorm(size)
        self.ffn_norm = nn.LayerNorm(size) if params.ffn else None
        inner = round(size * params.ffn_expansion)
        self.ffn = nn.ModuleList([nn.Linear(size, inner), nn.Linear(inner, size)]) if params.ffn else None

    def forward(self, x: Tensor, level: Level, joints: Sequence[Joint | None] = ()) -> Tensor:
        """`joints` are those of the convolutions, if they are already there."""
        hidden = self.dropout(x if self.conv_norm is None else self.conv_norm(x))
        for index, conv in enumerate(self.conv):
            joint = joints[index] if joints else None
            hidden = conv(hidden if index == 0 else F.leaky_relu(hidden, NEGATIVE_SLOPE, inplace=True), level, joint)
        x = x + F.leaky_relu(self.norm(hidden), NEGATIVE_SLOPE, inplace=True)
        if self.ffn is None or self.ffn_norm is None:
            return x
        hidden = self.dropout(torch.relu(self.ffn[0](self.ffn_norm(x))))
        return x + self.dropout(self.ffn[1](hidden))


class Backbone(nn.Module):
    """Projection and a pyramid of graph blocks.

    Shapes: x [N, D] and a pyramid of L levels over its nodes -> L tensors [N_l, H]; a pyramid may have fewer levels
    than the backbone.
    """

    def __init__(self, input_size: int, levels: int, params: BackboneParams) -> None:
        super().__init__()
        self.params, self.pool = params, params.pool
        sizes = (
            [input_size, params.hidden] if params.projection == "linear" else [input_size, params.hidden, params.hidden]
        )
        self.projection = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.projection_dropout = Dropout(params.projection_dropout)
        self.level = nn.ModuleList(LevelBlock(params) for _ in range(levels))

    def forward(self, x: Tensor, pyramid: Pyramid) -> list[Tensor]:
        if len(pyramid) > len(self.level):
            raise ValueError(f"a pyramid of {len(pyramid)} levels for a backbone of {len(self.level)}")
        hidden = self.projection[0](x)
        for linear in list(self.projection)[1:]:
            hidden = linear(self.projection_dropout(torch.relu(hidden)))
        hidden = full_precision(hidden)  # what the blocks add to is not rounded at every level
        outputs, joints = [], self.joints(pyramid) if not is_compiled(x) else []
        for index, (block, level) in enumerate(zip(self.level, pyramid, strict=False)):
            hidden = block(hidden, level, joints[index] if joints else ())
            outputs.append(hidden)
            if level.pooling is not None:
                hidden = pool_nodes(hidden, level.pooling, self.pool)
        return outputs

    def joints(self, pyramid: Pyramid) -> list[Sequence[Joint]]:
        """Those of every level's convolutions, where they are TDGC and the graphs regular."""
        blocks = [block for block in list(self.level)[: len(pyramid)] if isinstance(block, LevelBlock)]
        convs = [[conv for conv in block.conv if isinstance(conv, TDGC)] for block in blocks]
        edges = [level.edges for level, own in zip(pyramid, convs, strict=True) for _ in own]
        if not edges or any(sums_of(each).table is None for each in edges):
            return []
        found = iter(join([conv for own in convs for conv in own], edges))
        return [[next(found) for _ in own] for own in convs]
