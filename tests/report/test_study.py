"""What of a study stands in the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.errors import UserError
from egopack.report.overview import study
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
