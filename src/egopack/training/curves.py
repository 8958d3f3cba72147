"""Training curves: as CSV, one row an epoch, and for TensorBoard."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

from egopack.errors import UserError
from egopack.files import atomic_path
from egopack.training.loop import EpochReport


def write_curves(path: Path | str, reports: Sequence[EpochReport]) -> None:
    """Columns: epoch, loss (the sum of all terms), each term, grad_norm, lr, and the scores of epochs that were
    evaluated.
    """
    terms = list(reports[0].losses) if reports else []
    scores = sorted({f"val/{name}" for report in reports for name in report.scores})
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["epoch", "loss", *terms, "grad_norm", "lr", *scores])
        for report in reports:
            values = [sum(report.losses.values()), *report.losses.values(), report.grad_norm, report.lr]
            own = {f"val/{name}": f"{value:.6g}" for name, value in report.scores.items()}
            writer.writerow(
                [report.epoch + 1, *(f"{value:.6g}" for value in values), *(own.get(name, "") for name in scores)]
            )


class Board:
    """The curves as TensorBoard reads them, in `folder`: loss/<term>, val/<metric>, grad_norm and lr at each epoch.

    A training that resumes tells of all epochs again, so what lies in the folder is of a run before, and goes.

    Raises:
        UserError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "params.yaml: runtime.tensorboard: true, but TensorBoard is not installed; pip install tensorboard, or "
                "set it to false"
            ) from None
        shutil.rmtree(folder, ignore_errors=True)
        self.writer = SummaryWriter(str(folder))

    def add(self, report: EpochReport) -> None:
        """One more epoch, at once for whoever watches."""
        values = {f"loss/{term}": value for term, value in report.losses.items()}
        values |= {f"val/{metric}": value for metric, value in report.scores.items()}
        for name, value in (values | {"grad_norm": report.grad_norm, "lr": report.lr}).items():
            self.writer.add_scalar(name, value, report.epoch + 1)
        self.writer.flush()
