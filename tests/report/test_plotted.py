"""What `dvc plots` draws holds the same numbers as the metrics, and fits the templates that dvc.yaml names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from dvc_render.vega import VegaRenderer

from egopack.files import read_json
from egopack.report.build import plotted
from tests.report.conftest import ROOT, Pipeline

REGIMES = ("single", "multi", "egopack")
REPORT = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["report"]
PROPERTIES: dict[str, dict[str, Any]] = {
    Path(path).name: properties for one in REPORT["plots"] for path, properties in one.items()
}


@pytest.fixture(scope="module")
def tables(pipeline: Pipeline) -> dict[str, dict[str, pd.DataFrame]]:
    return plotted(pipeline.results())


def metrics(pipeline: Pipeline, regime: str, task: str) -> Any:
    found = read_json(pipeline.folders.metrics / regime / f"{'all' if regime == 'multi' else task}.json")
    return found[task] if regime == "multi" else found


def test_confusions_have_the_accuracies(pipeline: Pipeline, tables: dict[str, dict[str, pd.DataFrame]]) -> None:
    names = {f"ar_{part}s_{regime}" for part in ("verb", "noun") for regime in REGIMES}
    assert set(tables["confusion"]) == names | {f"oscc_{regime}" for regime in REGIMES}
    for regime in REGIMES:
        for part in ("verb", "noun"):
            table = tables["confusion"][f"ar_{part}s_{regime}"]
            right = 100 * np.mean(table["actual"] == table["predicted"])
            assert right == pytest.approx(metrics(pipeline, regime, "ar")[f"{part}_top1"], rel=1e-5)
        table = tables["confusion"][f"oscc_{regime}"]
        right = 100 * np.mean(table["actual"] == table["predicted"])
        assert right == pytest.approx(metrics(pipeline, regime, "oscc")["accuracy"], rel=1e-5)


def test_precisions_are_those_of_the_metrics(pipeline: Pipeline, tables: dict[str, dict[str, pd.DataFrame]]) -> None:
    for regime in REGIMES:
        scores = metrics(pipeline, regime, "mq")
        table = tables["ap_by_tiou"]["mq"]
        own = table[table["regime"] == regime]
        for tiou, value in zip(own["tiou"], own["value"], strict=True):
            assert value == pytest.approx(scores[f"map_at_{tiou:g}"], rel=1e-5, abs=1e-4)
        each = tables["ap_by_class"][f"mq_{regime}"]["ap"]
        assert each.mean() == pytest.approx(scores["map"], rel=1e-5, abs=1e-4)


def test_training_and_validation_are_panels_of_one_plot(other: Pipeline) -> None:
    curve = other.folders.metrics / "curves" / "single" / "mq.csv"
    curve.write_text("epoch,loss,mq/a,mq/b,grad_norm,lr,val/mq/map\n1,3,1,2,1,0.1,\n2,2,1,1,1,0.1,12.5\n")
    table = plotted(other.results())["curves"]["mq"]
    own = table[table["regime"] == "single"].drop(columns="regime").to_numpy().tolist()
    loss, score = "MQ: training loss ↓", "MQ: validation map (%) ↑"
    assert own == [[loss, 1, 3.0], [loss, 2, 2.0], [score, 2, 12.5]]
    assert set(table["regime"]) == set(REGIMES)


def test_templates_take_them(tables: dict[str, dict[str, pd.DataFrame]], tmp_path: Path) -> None:
    assert set(PROPERTIES) == set(tables)
    for folder, each in tables.items():
        for table in each.values():
            rows = table.assign(rev="workspace").to_dict("records")
            drawn = VegaRenderer(rows, folder, template_dir=str(ROOT / ".dvc/plots"), **PROPERTIES[folder])
            assert "<DVC_METRIC" not in json.dumps(drawn.get_filled_template())
