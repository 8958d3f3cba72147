"""Dropout in compiled code on a CPU, where drawing torch's mask takes a tenth of a training step."""

from __future__ import annotations

from typing import Any

import egopack_native
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from egopack.nn.sums import is_compiled


class Dropout(nn.Dropout):
    """As torch's, any shape. On a CPU the mask is a function of the place and of a seed from torch's generator, so the
    backward pass draws it again instead of keeping it, and it is the same for any number of threads.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1:
            return super().forward(x)
        if is_compiled(x):
            return _Compiled.apply(x, torch.empty(1, dtype=torch.int64).random_(), self.p)
        return torch.native_dropout(x, self.p, True)[0]  # which keeps a mask of one byte a number


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, seed: Tensor, p: float) -> Tensor:
        ctx.seed, ctx.p = seed, p
        return _drop(x.detach(), seed, p)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _drop(grads[0], ctx.seed, ctx.p), None, None


def _drop(x: Tensor, seed: Tensor, p: float) -> Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    egopack_native.dropout(x, out, seed, p)
    return out
