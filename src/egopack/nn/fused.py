"""Functions of many small operations, which torch.compile makes a few of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")

_switch = {"compiled": False}


@contextmanager
def compiled_functions() -> Iterator[None]:
    """Inside, what is `fused` is compiled at its first call."""
    before = _switch["compiled"]
    _switch["compiled"] = True
    try:
        yield
    finally:
        _switch["compiled"] = before


def fused(function: Callable[P, T]) -> Callable[P, T]:
    """The function, which `compiled_functions` compiles for tensors of any length."""
    compiled = cache(lambda: torch.compile(function, dynamic=True))

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return (compiled() if _switch["compiled"] else function)(*args, **kwargs)

    return call
