"""What of a study stands in the report."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from egopack.errors import UserError
from egopack.evaluation.paired import differences
from egopack.params.study import load_study
from egopack.report.figures import standalone
from egopack.report.overview import drawn, study
from tests.report.conftest import Pipeline

PLAN = """\
seeds: {tuning: [1], verdict: [2, 3]}
questions:
  help:
    about: Does a pack help?
    seeds: verdict
    regimes: [single/pnr, egopack/pnr]
    variants: {plain: {}}
    differences: [{better: "plain:egopack/pnr", than: "plain:single/pnr"}]
  other:
    about: Not run.
    seeds: tuning
"""
RUNS = """\
question,variant,seed,regime,task,metric,value
help,plain,2,single/pnr,pnr,error_s,0.5
help,plain,2,egopack/pnr,pnr,error_s,0.4
help,plain,3,single/pnr,pnr,error_s,0.6
help,plain,3,egopack/pnr,pnr,error_s,0.4
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def test_differences_and_their_intervals(plan: Path, tmp_path: Path) -> None:
    runs = tmp_path / "study.csv"
    assert study(runs, plan) is None
    runs.write_text(RUNS)
    shown = study(runs, plan)
    assert shown is not None
    # the mean of .1 and .2, give or take 12.706 * .05: Student's quantile for one degree of freedom
    assert "+0.15 [-0.485, +0.785]" in shown
    assert "pnr error_s ↓" in shown
    assert "Not run" not in shown


def test_stands_in_the_report(other: Pipeline) -> None:
    assert 'id="study"' not in other.report()
    (other.folders.metrics / "study.csv").write_text(RUNS.replace("help,", "mq_head,").replace("plain", "published"))
    assert 'id="study"' in other.report()


def test_runs_of_another_form_are_refused(plan: Path, tmp_path: Path) -> None:
    runs = tmp_path / "study.csv"
    runs.write_text("question,variant,seed,value\n")
    with pytest.raises(UserError, match="no column regime, task, metric;"):
        study(runs, plan)


MATRIX = """\
seeds: {tuning: [1], verdict: [2, 3, 4]}
questions:
  curve:
    about: How much?
    seeds: verdict
    each: {videos: [60, 6]}
    regimes: [single/pnr, egopack/pnr]
    variants: {plain: {}}
    differences: [{better: "plain:egopack/pnr", than: "plain:single/pnr"}]
    figure: {kind: lines, x: videos}
  who:
    about: Who helps?
    seeds: verdict
    each: {pack: [ar, oscc]}
    regimes: [single/pnr, egopack/pnr]
    variants: {plain: {}}
    differences: [{better: "plain:egopack/pnr", than: "plain:single/pnr"}]
    figure: {kind: matrix, x: pack, y: pack}
"""


def test_gains_over_labels_and_who_helps_whom(tmp_path: Path) -> None:
    plan, runs = tmp_path / "plan.yaml", tmp_path / "study.csv"
    plan.write_text(MATRIX)
    lines = ["question,variant,seed,regime,task,metric,value"]
    gains = {
        "curve,plain videos=6": 0.25,
        "curve,plain videos=60": -0.5,
        "who,plain pack=ar": 0.125,
        "who,plain pack=oscc": -4,
    }
    for place, gain in gains.items():
        for seed in (2, 3, 4):
            lines += [f"{place},{seed},single/pnr,pnr,error_s,{9 + seed}"]
            lines += [f"{place},{seed},egopack/pnr,pnr,error_s,{9 + seed - gain + (seed - 3) / 1000}"]
    runs.write_text("\n".join(lines))
    shown = study(runs, plan)
    assert shown is not None
    assert shown.count("<svg") == 2
    # three seeds that differ by .001: 4.303 * .001 / sqrt(3)
    assert "<title>PNR error_s, ar: +0.125 ± 0.0025</title>" in shown
    assert ">-4 ± 0.0025<" in shown
    assert "<title>PNR error_s (s), egopack − single</title>" in shown
    question = load_study(plan).questions["curve"]
    table = differences(pd.read_csv(runs).query("question == 'curve'"), question)
    assert dict(zip([at["videos"] for at in table["at"]], table["difference"], strict=True)) == pytest.approx(
        {60: -0.5, 6: 0.25}
    )
    alone = standalone(drawn("curve", table, question))
    assert "var(--" not in alone
    ElementTree.fromstring(alone)
    assert drawn("curve", table[:0], question) == ""
