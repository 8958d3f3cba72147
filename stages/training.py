"""The training loop with a progress bar, for the three stages that train."""

from __future__ import annotations

from collections.abc import Mapping

import click
import torch

from egopack.data.loader import Loader
from egopack.params import OptimiserParams
from egopack.training.loop import EpochReport, train
from egopack.training.network import Network
from stages.common import progress


def run(
    network: Network, loaders: Mapping[str, Loader], params: OptimiserParams, device: torch.device, what: str
) -> list[EpochReport]:
    """Train in place; one line an epoch and a bar over all steps. Returns the report of every epoch."""
    reports: list[EpochReport] = []
    with progress(0, what) as bar:

        def on_step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        def on_epoch(report: EpochReport) -> None:
            reports.append(report)
            terms = "  ".join(f"{name} {value:.4f}" for name, value in report.losses.items())
            bar.write(f"{what}: epoch {report.epoch + 1}/{params.epochs}  lr {report.lr:.1e}  {terms}")

        train(network, loaders, params, device=device, on_step=on_step, on_epoch=on_epoch)
    count = sum(parameter.numel() for parameter in network.parameters())
    click.echo(f"{what}: {count:,} parameters on {device}, loss {sum(reports[-1].losses.values()):.4f}")
    return reports
