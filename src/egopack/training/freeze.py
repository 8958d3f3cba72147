"""Parts of a network that do not train."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from egopack.model.network import Network


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
