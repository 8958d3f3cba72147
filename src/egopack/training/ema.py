"""Weights averaged over the updates of a training."""

from __future__ import annotations

import torch

from egopack.model.network import Network

WARM_UP = 10  # updates over which the average trusts the past less


class EMA:
    """Exponential moving average of a network's weights and buffers; after t updates the decay is at most
    (1 + t) / (10 + t).
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move the average towards the network's weights of now."""
        decay = min(self.decay, (1 + self.updates) / (WARM_UP + self.updates))
        self.updates += 1
        now = network.state_dict()
        torch._foreach_lerp_(list(self.weights.values()), [now[name] for name in self.weights], 1 - decay)
