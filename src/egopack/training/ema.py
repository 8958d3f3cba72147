"""Weights averaged over the updates of a training."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from egopack.model.network import Network

WARM_UP = 10  # updates over which the average trusts the past less


class EMA(AveragedModel):
    """Exponential moving average of a network's weights and buffers; after t updates the decay is at most
    (1 + t) / (10 + t).
    """

    def __init__(self, network: Network, decay: float) -> None:
        super().__init__(network, multi_avg_fn=partial(_towards, decay), use_buffers=True)
        self.update_parameters(network)  # torch takes the first as they are: the initial weights

    @property
    def weights(self) -> dict[str, Tensor]:
        """The average, under the network's own names."""
        return self.module.state_dict()


@torch.no_grad()
def _towards(decay: float, average: list[Tensor], now: list[Tensor], averaged: Tensor | int) -> None:
    """Move `average` towards the weights of `now`; `averaged` counts the initial weights too."""
    updates = int(averaged) - 1
    decay = min(decay, (1 + updates) / (WARM_UP + updates))
    torch._foreach_lerp_(average, now, 1 - decay)
