"""Adam, what trains and what decays, and the learning rate as a function of the step (section 5 of the method)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from egopack.model.network import Network
from egopack.nn.tdgc import TDGC
from egopack.params import OptimizerParams

FIRST_FACTOR = 0.001  # of the learning rate, at step 0 of the warm-up


def learning_rate(step: int, *, total: int, warmup: int, lr: float, lr_min: float) -> float:
    """Linear from 0.001 lr to lr over `warmup` steps, then a cosine to `lr_min` at step `total`."""
    if step < warmup:
        return lr * (FIRST_FACTOR + (1 - FIRST_FACTOR) * step / warmup)
    progress = (step - warmup) / max(total - warmup, 1)
    return lr_min + (lr - lr_min) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def decayed_names(network: nn.Module) -> set[str]:
    """Names of the parameters that decay: those of two or more dimensions, and the output bias of every TDGC."""
    names = {name for name, parameter in network.named_parameters() if parameter.ndim >= 2}
    return names | {
        f"{prefix}.bias".lstrip(".") for prefix, module in network.named_modules() if isinstance(module, TDGC)
    }


def make_optimizer(network: nn.Module, params: OptimizerParams) -> torch.optim.Adam:
    """Adam over all parameters, with weight decay on some (`decayed_names`)."""
    decayed = decayed_names(network)
    groups: list[dict[str, object]] = [
        {
            "params": [p for name, p in network.named_parameters() if (name in decayed) == decay],
            "weight_decay": params.weight_decay * decay,
        }
        for decay in (True, False)
    ]
    return torch.optim.Adam(groups, lr=params.lr, fused=True)


def freeze(network: Network, parts: Sequence[str]) -> None:
    """Exempt `backbone` or `necks` from training; in EgoPack the necks are those of the support tasks."""
    for part in parts:
        owners = [network.backbone] if part == "backbone" else necks(network)
        for owner in owners:
            owner.requires_grad_(False)


def necks(network: Network) -> list[torch.nn.Module]:
    """Necks of the support tasks where there are any, else of the tasks."""
    if len(network.support):
        return [support["neck"] for support in network.support.values()]  # type: ignore[index]
    return [network.head(name).neck for name in network.task]
