from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from egopack.errors import UserError
from egopack.training.curves import Board, write_curves
from egopack.training.loop import EpochReport

REPORTS = [
    EpochReport(0, 1e-5, 2.0, {"ar/verb": 1.5, "ar/noun": 2.25}),
    EpochReport(1, 0.001234567, 0.1, {"ar/verb": 1 / 3, "ar/noun": 1e-9}),
]


def test_one_row_an_epoch(tmp_path: Path) -> None:
    path = tmp_path / "curves" / "ar.csv"
    write_curves(path, REPORTS)
    assert path.read_text() == (
        "epoch,loss,ar/verb,ar/noun,grad_norm,lr\n1,3.75,1.5,2.25,2,1e-05\n2,0.333333,0.333333,1e-09,0.1,0.00123457\n"
    )
    rows = list(csv.DictReader(path.open()))
    for row, report in zip(rows, REPORTS, strict=True):
        assert float(row["loss"]) == pytest.approx(sum(report.losses.values()), rel=1e-5)


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_curves(tmp_path / name, REPORTS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_without_tensorboard_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*sys.modules]:
        if name.startswith("torch.utils.tensorboard"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"^params\.yaml: runtime\.tensorboard: .* pip install tensorboard, or "):
        Board(tmp_path)
