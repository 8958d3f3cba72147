"""Training curves as CSV, one row an epoch."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

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
