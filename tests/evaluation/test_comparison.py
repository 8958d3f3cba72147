from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from egopack.evaluation.comparison import cells, compare, markdown, read_comparison, write_comparison
from egopack.files import write_json

OSCC = {"chance": 50.0, "single": 75.223, "multi": None, "egopack": 75.6}
LTA = {"chance": 0.9, "single": 0.72849, "multi": 0.7301, "egopack": 0.7}
COMPARISON = {"oscc.accuracy": OSCC, "lta.verb_ed": LTA}


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    for column, value in (("chance", 1.0), ("single", 2.0), ("egopack", 4.0)):
        write_json(tmp_path / column / "ar.json", {"verb_top1": value, "noun_top1": value + 10, "verb_top5": 99.0})
        write_json(tmp_path / column / "mq.json", {"map": value + 20})
    write_json(tmp_path / "multi" / "some.json", {"ar": {"verb_top1": 3.0, "noun_top1": 13.0}, "lta": {"verb_ed": 1.0}})
    return tmp_path


def test_headline_metrics_of_every_regime(metrics: Path) -> None:
    assert compare(metrics, ["ar", "mq"], {"ar": "some", "mq": "some"}, "some") == {
        "ar.verb_top1": {"chance": 1.0, "single": 2.0, "multi": 3.0, "egopack": 4.0},
        "ar.noun_top1": {"chance": 11.0, "single": 12.0, "multi": 13.0, "egopack": 14.0},
        "mq.map": {"chance": 21.0, "single": 22.0, "multi": None, "egopack": 24.0},
    }


def test_cells() -> None:
    assert cells(COMPARISON) == [
        ["metric", "chance", "single", "multi", "egopack"],
        ["OSCC accuracy ↑", "50.00", "75.22", "", "75.60"],
        ["LTA verb_ed ↓", "0.900", "0.728", "0.730", "0.700"],
    ]


def test_markdown() -> None:
    assert markdown(COMPARISON) == (
        "| metric | chance | single | multi | egopack |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| OSCC accuracy ↑ | 50.00 | 75.22 |  | 75.60 |\n"
        "| LTA verb_ed ↓ | 0.900 | 0.728 | 0.730 | 0.700 |\n"
    )


def test_files(tmp_path: Path) -> None:
    write_comparison(tmp_path, tmp_path / "table.md", COMPARISON)
    assert json.loads((tmp_path / "single.json").read_text()) == {
        "lta": {"verb_ed": 0.72849},
        "oscc": {"accuracy": 75.223},
    }
    assert json.loads((tmp_path / "multi.json").read_text()) == {"lta": {"verb_ed": 0.7301}}
    read = read_comparison(tmp_path, ["oscc", "lta"])
    assert list(read) == ["oscc.accuracy", "lta.verb_ed", "lta.noun_ed"]
    assert {name: read[name] for name in COMPARISON} == COMPARISON
    assert set(read["lta.noun_ed"].values()) == {None}
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == markdown(COMPARISON)
    rows = list(csv.reader((tmp_path / "comparison.csv").open()))
    assert rows == [
        ["metric", "chance", "single", "multi", "egopack"],
        ["oscc.accuracy", "50.0", "75.223", "", "75.6"],
        ["lta.verb_ed", "0.9", "0.72849", "0.7301", "0.7"],
    ]
