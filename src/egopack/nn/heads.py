"""Parts that task heads are made of (section 4 of the method)."""

from __future__ import annotations

import math
from typing import Any

import egopack_native
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from egopack.data.batch import SegmentNodes
from egopack.data.pyramid import Pyramid
from egopack.data.sparse import Groups
from egopack.nn.dropout import Dropout
from egopack.nn.sums import full_precision, is_compiled, sum_rows


class Readout(nn.Linear):
    """The last linear map of a head, in float32 also under autocast: half precision makes ties of close scores.
    [N, i] -> [N, o]
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(full_precision(x))


class Neck(nn.ModuleDict):
    """Dropout, Linear(H, F), LayerNorm, ReLU, Linear(F, F): what every task starts with. [N, H] -> [N, F]"""

    def __init__(self, input_size: int, size: int, dropout: float) -> None:
        super().__init__({"0": nn.Linear(input_size, size), "norm": nn.LayerNorm(size), "1": nn.Linear(size, size)})
        self.size, self.dropout = size, Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self["1"](torch.relu_(self["norm"](full_precision(self["0"](self.dropout(x))))))


class NormedLinear(nn.Linear):
    """Linear, LayerNorm, ReLU. [..., i] -> [..., o]"""

    def __init__(self, input_size: int, output_size: int, bias: bool = True) -> None:
        super().__init__(input_size, output_size, bias=bias)
        self.norm = nn.LayerNorm(output_size)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.norm(full_precision(super().forward(x))))


class Classifier(nn.ModuleDict):
    """Dropout, two NormedLinear, Linear. With `prior` the last bias starts at -log((1 - prior) / prior). [N, F] ->
    [N, classes]
    """

    def __init__(
        self,
        input_size: int,
        classes: int,
        *,
        hidden: int,
        dropout: float,
        prior: float | None = None,
        last_bias: bool = True,
    ) -> None:
        super().__init__(
            {
                "0": NormedLinear(input_size, hidden),
                "1": NormedLinear(hidden, hidden),
                "out": Readout(hidden, classes, bias=last_bias),
            }
        )
        self.dropout = Dropout(dropout)
        if prior is not None:
            nn.init.constant_(self["out"].bias, -math.log((1 - prior) / prior))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self["out"](self["1"](self["0"](self.dropout(x))))

    def with_context(self, x: Tensor, context: Tensor, videos: Groups) -> Tensor:
        """The same of [x ‖ context[owner]], for x [N, F] and context [V, G] of each row's video -> [N, classes].

        The share of the context in the first product is computed once for each of its rows, unless dropout treats
        every node on its own.
        """
        if self.training and self.dropout.p > 0:
            return self(torch.cat([x, of_owner(context, videos)], dim=1))
        first = self["0"]
        assert isinstance(first, NormedLinear)
        own, shared = first.weight.split([x.shape[1], context.shape[1]], dim=1)
        hidden = F.linear(x, own, first.bias) + of_owner(F.linear(context, shared), videos)
        return self["out"](self["1"](torch.relu_(first.norm(full_precision(hidden)))))


def segment_mean(x: Tensor, nodes: SegmentNodes) -> Tensor:
    """Mean of the rows of x [N, F] that lie in each segment -> [S, F]; segments may overlap and an empty one gives
    zeros.

    Compiled on a CPU, in time linear in nodes and segments; one row a node and segment on the portable path.
    """
    x = full_precision(x)
    if is_compiled(x):
        return _RangeMeans.apply(x, nodes)
    means = nodes.prepared().means
    assert means is not None
    return sum_rows(x, means)


class _RangeMeans(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, nodes: SegmentNodes) -> Tensor:
        out = x.new_empty(len(nodes.first), x.shape[1])
        egopack_native.range_means(x.detach().contiguous(), nodes.first, nodes.last, out)
        ctx.nodes, ctx.shape = nodes, x.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad_x = grads[0].new_empty(ctx.shape)
        egopack_native.range_means_backward(grads[0].contiguous(), ctx.nodes.first, ctx.nodes.last, grad_x)
        return grad_x, None


def video_max(x: Tensor, videos: Groups) -> Tensor:
    """Maximum over the nodes [N, F] of each video -> [videos, F]."""
    if not is_compiled(x):
        sums = videos.prepared().sums
        assert sums is not None
        return sum_rows(x, sums.padded).unflatten(0, (videos.count, -1)).amax(dim=1)
    index = videos.owner[:, None].expand_as(x)
    return x.new_full((videos.count, x.shape[1]), -torch.inf).scatter_reduce(0, index, x, "amax")


def video_mean(x: Tensor, videos: Groups) -> Tensor:
    """Mean over the nodes [N, F] of each video -> [videos, F]."""
    x = full_precision(x)
    if not is_compiled(x):
        sums = videos.prepared().sums
        assert sums is not None
        return sum_rows(x, sums.means)
    total = x.new_zeros(videos.count, x.shape[1]).index_add(0, videos.owner, x)
    count = x.new_zeros(videos.count).index_add(0, videos.owner, torch.ones_like(videos.owner, dtype=x.dtype))
    return total / count.clamp(min=1)[:, None]


def of_owner(x: Tensor, groups: Groups) -> Tensor:
    """The row of x [groups, F] that each of the N rows belongs to -> [N, F]."""
    if is_compiled(x):
        return x.index_select(0, groups.owner)
    sums = groups.prepared().sums
    assert sums is not None
    return sum_rows(x, sums.owner)


def level_scales(scales: Tensor, pyramid: Pyramid, levels: Groups) -> Tensor:
    """The scale of the level, out of `scales` [L], of each node of all levels -> [N, 1]."""
    if is_compiled(scales):
        return torch.cat([scales[level.index].expand(len(level.pos)) for level in pyramid])[:, None]
    return of_owner(scales[: levels.count, None], levels)


def repeat_each(x: Tensor, times: int) -> Tensor:
    """Each row of x [N, F] so many times in a row -> [N * times, F]."""
    if is_compiled(x):
        return x.repeat_interleave(times, dim=0)
    return x[:, None].expand(-1, times, -1).flatten(0, 1)
