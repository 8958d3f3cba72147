"""What mixed precision must not touch."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """x in float32 if it is in half precision, where a sum of ones stops at 256; else as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
