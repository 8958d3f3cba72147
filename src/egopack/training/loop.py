"""The one training loop: a step is one batch of every task, gradients added, one update (section 5 of the method)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from egopack.data.batch import Batch
from egopack.data.loader import Loader
from egopack.params import OptimiserParams
from egopack.training.network import Network
from egopack.training.optimiser import learning_rate, make_optimiser


@dataclass(frozen=True)
class StepReport:
    """Loss terms of each task and the gradient norm before clipping; tensors, so that a step never waits for the
    device.
    """

    losses: dict[str, dict[str, Tensor]]
    grad_norm: Tensor


@dataclass(frozen=True)
class EpochReport:
    """Means over one epoch: loss terms by "task/term", the gradient norm, and the learning rate of its last step."""

    epoch: int
    lr: float
    grad_norm: float
    losses: dict[str, float]


def step(
    network: Network, optimiser: torch.optim.Optimizer, batches: Mapping[str, Batch], grad_clip_norm: float
) -> StepReport:
    """One update from one batch of every task."""
    optimiser.zero_grad(set_to_none=True)
    losses = {}
    for name, batch in batches.items():
        terms = network.head(name).loss(network(name, batch), batch)
        torch.stack(list(terms.values())).sum().backward()
        losses[name] = {term: value.detach() for term, value in terms.items()}
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), grad_clip_norm)
    optimiser.step()
    return StepReport(losses, norm)


def train(
    network: Network,
    loaders: Mapping[str, Loader],
    params: OptimiserParams,
    *,
    device: torch.device,
    on_step: Callable[[int, int], None] = lambda step, total: None,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> None:
    """Train `network` in place for `params.epochs` epochs, each as long as the longest loader; the others cycle."""
    network.to(device).train()
    optimiser = make_optimiser(network, params)
    steps = max(len(loader) for loader in loaders.values())
    total, warmup = steps * params.epochs, steps * params.warmup_epochs
    streams = {name: loader.forever() for name, loader in loaders.items()}
    for epoch in range(params.epochs):
        reports = []
        lr = 0.0
        for index in range(epoch * steps, (epoch + 1) * steps):
            lr = learning_rate(index, total=total, warmup=warmup, lr=params.lr, lr_min=params.lr_min)
            for group in optimiser.param_groups:
                group["lr"] = lr
            batches = {name: next(stream).to(device) for name, stream in streams.items()}
            reports.append(step(network, optimiser, batches, params.grad_clip_norm))
            on_step(index + 1, total)
        on_epoch(summarise(epoch, lr, reports))


def summarise(epoch: int, lr: float, reports: list[StepReport]) -> EpochReport:
    """Means of an epoch's steps."""
    names = [(task, term) for task, terms in reports[0].losses.items() for term in terms]
    losses = {
        f"{task}/{term}": torch.stack([report.losses[task][term] for report in reports]).mean().item()
        for task, term in names
    }
    return EpochReport(epoch, lr, torch.stack([report.grad_norm for report in reports]).mean().item(), losses)
