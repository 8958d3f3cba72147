"""Nested dataclasses of tensors on their way to a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
ALIGNMENT = 16  # bytes


def move(value: T, device: torch.device | str) -> T:
    """The same nested dataclasses, tuples and dicts with every tensor on `device`."""
    return mapped(value, lambda tensor: tensor.to(device))


def mapped(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """The same nested dataclasses, tuples and dicts with every tensor changed."""
    out: Any = value
    if isinstance(value, Tensor):
        out = change(value)
    elif isinstance(value, dict):
        out = {name: mapped(item, change) for name, item in value.items()}
    elif isinstance(value, tuple):
        out = tuple(mapped(item, change) for item in value)
    elif is_dataclass(value) and not isinstance(value, type):
        out = replace(value, **{field.name: mapped(getattr(value, field.name), change) for field in fields(value)})
    return out


def prepared(value: T) -> T:
    """The same nested dataclasses and tuples, each that has a method of this name as that returns it."""
    out: Any = value
    if isinstance(value, tuple):
        out = tuple(prepared(item) for item in value)
    elif is_dataclass(value) and not isinstance(value, type):
        out = replace(value, **{field.name: prepared(getattr(value, field.name)) for field in fields(value)})
        out = out.prepared() if hasattr(value, "prepared") else out
    return out


def send(value: T, device: torch.device | str) -> T:
    """`move` in one transfer: all tensors in one buffer, pinned where the device is a GPU, which is not waited for."""
    tensors: dict[int, Tensor] = {}
    mapped(value, lambda tensor: tensors.setdefault(id(tensor), tensor))
    starts, total = {}, 0
    for key, tensor in tensors.items():
        starts[key] = total
        total += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
    buffer = torch.empty(total, dtype=torch.uint8, pin_memory=torch.device(device).type == "cuda")
    for key, tensor in tensors.items():
        _part(buffer, starts[key], tensor).copy_(tensor)
    sent = buffer.to(device, non_blocking=True)
    return mapped(value, lambda tensor: _part(sent, starts[id(tensor)], tensor))


def _part(buffer: Tensor, start: int, like: Tensor) -> Tensor:
    return buffer[start : start + like.nbytes].view(like.dtype).view(like.shape)
