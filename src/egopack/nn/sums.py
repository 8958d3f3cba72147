"""The portable path: what computes where the compiled CPU code does not, on any device, the same bytes every time.

It is made of products with sparse matrices (`egopack.data.sparse`), which add nothing from two sides, forward or
backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from egopack.data.sparse import Rows, Sparse

_switch = {"portable": False}


@contextmanager
def portable() -> Iterator[None]:
    """Inside, nothing is left to the compiled CPU code."""
    before = _switch["portable"]
    _switch["portable"] = True
    try:
        yield
    finally:
        _switch["portable"] = before


def is_compiled(x: Tensor) -> bool:
    """Whether the compiled code computes what becomes of x: float32 on a CPU."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not _switch["portable"]


def full_precision(x: Tensor) -> Tensor:
    """x in float32 if it is in half precision, where a sum of ones stops at 256; else as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def sum_rows(x: Tensor, matrix: Sparse) -> Tensor:
    """matrix [M, N] times x [N, F] -> [M, F]."""
    return _Sums.apply(full_precision(x), matrix)


def add_up(x: Tensor, rows: Rows) -> Tensor:
    """`sum_rows` without gradient."""
    weight = None if rows.weight is None else rows.weight.to(x.dtype)
    return F.embedding_bag(
        rows.column, x, rows.row_start, mode="sum", per_sample_weights=weight, include_last_offset=True
    )


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Sparse) -> Tensor:
        ctx.matrix = matrix
        return add_up(x.contiguous(), matrix.rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return add_up(grads[0].contiguous(), ctx.matrix.back), None
