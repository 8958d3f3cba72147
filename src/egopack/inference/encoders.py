"""Encoders: from windows of frames to feature rows. An encoder is code that runs; use none that you do not trust."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from egopack.errors import UserError

Encoder = Callable[[Tensor], Tensor]
TORCHSCRIPT, EXPORTED = (".pt", ".pth", ".ts"), ".pt2"
TINY_SIZE = 64


def load_encoder(named: str, device: str) -> Encoder:
    """An encoder: uint8 frames [B, window, H, W, 3] -> rows [B, D].

    `named` is module:function, looked for in the current folder too, or a file: TorchScript, or .pt2 of torch.export.

    Raises:
        UserError: there is none of that name.
    """
    path = Path(named)
    if path.suffix in (*TORCHSCRIPT, EXPORTED):
        if not path.is_file():
            raise UserError(f"--encoder: {named}: no such file")
        return _of_file(path, device)
    module, colon, name = named.partition(":")
    if not colon:
        raise UserError(f"--encoder: {named!r}: expected module:function, or a TorchScript (.pt) or .pt2 file")
    sys.path.insert(0, "")
    try:
        found = vars(importlib.import_module(module)).get(name)
    except ImportError as error:
        raise UserError(f"--encoder: {named!r}: {error}") from None
    finally:
        sys.path.remove("")
    if not callable(found):
        raise UserError(f"--encoder: {named!r}: {module} has no function {name!r}")
    return lambda frames: found(frames.to(device))


def _of_file(path: Path, device: str) -> Encoder:
    try:
        if path.suffix == EXPORTED:
            module: Any = torch.export.load(path).module().to(device)
        else:
            module = torch.jit.load(str(path), map_location=device).eval()
    except Exception as error:  # both raise what they like for a file that is not theirs
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"--encoder: {path}: torch cannot load it ({reason})") from None
    return lambda frames: module(frames.to(device))


def tiny(frames: Tensor) -> Tensor:
    """A small encoder with fixed weights, to try things with: colors and motion on a coarse grid, projected at random.

    uint8 [B, T, H, W, 3] -> float32 [B, 64]; the same frames give the same rows.
    """
    batch = len(frames)
    coarse = F.adaptive_avg_pool3d(frames.permute(0, 4, 1, 2, 3).float() / 255, (4, 4, 4))  # [B, 3, 4, 4, 4]
    seen = torch.cat([coarse.mean(2).reshape(batch, -1), coarse.diff(dim=2).reshape(batch, -1)], dim=1)
    weight = torch.randn(seen.shape[1], TINY_SIZE, generator=torch.Generator().manual_seed(0))
    return torch.tanh((seen - 0.25) @ weight.to(seen.device) / 4)
