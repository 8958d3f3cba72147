"""The floor of a computation: its matrix products alone, forward and backward, in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Product:
    """[rows, inner] times [inner, columns]; which of its operands receive a gradient."""

    rows: int
    inner: int
    columns: int
    left_gradient: bool
    right_gradient: bool

    @property
    def operations(self) -> int:
        """Floating-point operations, forward and backward."""
        return 2 * self.rows * self.inner * self.columns * (1 + self.left_gradient + self.right_gradient)


class Products(TorchFunctionMode):
    """Lists the matrix products of what runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Product] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "linear":
            self._add(args[0], args[1].shape[0], args[1])
        elif name in ("mm", "matmul", "__matmul__", "addmm") and isinstance(args[-1], Tensor):
            left, right = args[-2:]
            self._add(left, right.shape[-1], right)
        return func(*args, **(kwargs or {}))

    def _add(self, left: Tensor, columns: int, right: Tensor) -> None:
        inner = left.shape[-1]
        grad = torch.is_grad_enabled()
        self.found.append(
            Product(left.numel() // inner, inner, columns, grad and left.requires_grad, grad and right.requires_grad)
        )


def products_of(run: Callable[[], object]) -> list[Product]:
    """The matrix products of one call."""
    with Products() as mode:
        run()
    return mode.found


def floor_of(products: list[Product]) -> Callable[[], None]:
    """A function that computes these products forward, then what their gradients need, last product first.

    Its operands are made when it is first called, so that they are not part of a peak measured before.
    """
    operands: list[tuple[Tensor, Tensor]] = []

    def run() -> None:
        if not operands:
            operands.extend((torch.randn(one.rows, one.inner), torch.randn(one.columns, one.inner)) for one in products)
        left, right = zip(*operands, strict=True)
        results = [a @ b.T for a, b in zip(left, right, strict=True)]
        for one, a, b in zip(reversed(products), reversed(left), reversed(right), strict=True):
            gradient = results.pop()
            if one.left_gradient:
                gradient @ b
            if one.right_gradient:
                gradient.T @ a

    return run
