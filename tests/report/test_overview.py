"""Intervals, units, defaults."""

from __future__ import annotations

from pathlib import Path

from egopack.evaluation.comparison import unit
from egopack.params import load_params
from egopack.report.overview import PAPER, defaults_of, flat
from egopack.tasks.base import check_task, load_task
from tests.report.conftest import ROOT, Pipeline, with_params


def test_units_follow_from_names() -> None:
    assert [unit(name) for name in ("error_s", "error_published_s", "map_at_0.5", "verb_top1")] == ["s", "s", "%", "%"]
    assert unit("noun_aued") == unit("verb_ed") == "edit distance, 0 to 1"


def test_paper_is_that_of_the_method() -> None:
    text = (ROOT / "src/egopack/METHOD.md").read_text(encoding="utf-8")
    for place, name in enumerate(("single task", "multi-task", "Hier-EgoPack")):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
        assert [float(cell) for cell in row.split("|")[2:-1]] == [values[place] for values in PAPER.values()]
    for name in PAPER:
        task, metric = name.split(".")
        assert metric in load_task(task).headline


def test_defaults_are_those_of_the_fields() -> None:
    params = load_params(ROOT / "params.yaml")
    assert defaults_of(params.backbone, "backbone.")["backbone.conv.gate_size"] == 256
    assert "backbone.hidden" not in defaults_of(params.backbone, "backbone.")
    block = defaults_of(check_task("mq", params.tasks["mq"]), "tasks.mq.")
    assert block["tasks.mq.decode.sigma"] == 2.0
    assert block["tasks.mq.train.extras.evaluate_every"] == 0
    assert flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}


def test_only_what_differs_is_shown(pipeline: Pipeline) -> None:
    report = pipeline.report()
    assert '<th scope="row">backbone.conv.gate_size</th><td>64</td><td>256</td>' in report
    assert '<th scope="row">backbone.radius_s</th>' not in report
    assert '<th scope="row">seed</th><td>0</td><td>—</td>' in report
    assert "save_every" not in report
    assert "labelled" not in report


def test_a_budget_of_labels_is_shown(pipeline: Pipeline, tmp_path: Path) -> None:
    report = with_params(pipeline, tmp_path, labelled={"ar": {"videos": 6}}).report()
    assert '<th scope="row">labelled.ar.videos</th><td>6</td>' in report
