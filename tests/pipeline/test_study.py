"""A study as its user runs it: rows, once; the values are those of the pipeline run by hand."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
import yaml

from tests.pipeline.conftest import Clone

pytestmark = pytest.mark.drill

PLAN = {
    "seeds": {"tuning": [7], "verdict": [8]},
    "set": {"synthetic.drift": 0.5},
    "questions": {
        "rate": {
            "about": "Does a higher learning rate help?",
            "seeds": "tuning",
            "variants": {
                "low": {"set": {"tasks.ar.train.lr": 1e-5}, "regimes": ["single/ar"]},
                "high": {"set": {"tasks.ar.train.lr": 1e-2}, "regimes": ["single/ar"]},
            },
            "differences": [{"better": "high:single/ar", "than": "low:single/ar"}],
        }
    },
}


def study(clone: Clone, *arguments: str, check: bool = True) -> str:
    done = clone.run("python", "-m", "stages.study", *arguments, check=check)
    assert check or done.returncode != 0
    return done.stdout + done.stderr


def test_a_study_runs_what_is_missing_and_its_values_are_those_of_the_pipeline(clone: Clone) -> None:
    (clone.path / "params.study.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
    file = clone.path / "metrics" / "study.csv"
    file.unlink(missing_ok=True)
    dry = study(clone, "--dry")
    assert dry.splitlines() == [
        "rate: low, seed 7: single/ar",
        "rate: high, seed 7: single/ar",
        "2 runs, 2 of them now; no run so far tells how long they take",
    ]

    def other(params: dict[str, Any]) -> None:
        params["seed"] = 1

    clone.edit(other)
    assert "differ from the last commit; commit first" in study(clone, check=False)
    clone.git("checkout", "params.yaml")

    said = study(clone, "--jobs", "1")
    assert "| ar verb_top1 | high:single/ar | low:single/ar | 1 |" in said
    rows = list(csv.DictReader(file.open()))
    assert [(row["variant"], row["seed"], row["regime"], row["metric"]) for row in rows] == [
        (variant, "7", "single/ar", metric) for variant in ("low", "high") for metric in ("verb_top1", "noun_top1")
    ]
    assert {row["commit"] for row in rows} == {clone.git("rev-parse", "HEAD").strip()[:10]}

    def by_hand(params: dict[str, Any]) -> None:
        params["seed"] = params["synthetic"]["seed"] = 7
        params["synthetic"]["drift"] = 0.5
        params["tasks"]["ar"]["train"]["lr"] = 1e-2

    clone.edit(by_hand)
    ran = clone.repro("evaluate_single@ar")
    assert "train_single@ar" not in ran  # it is in the cache that a study shares
    scores = json.loads((clone.path / "metrics/single/ar.json").read_text())
    assert [float(row["value"]) for row in rows[2:]] == [scores["verb_top1"], scores["noun_top1"]]

    clone.git("checkout", "params.yaml")
    before = file.read_bytes()
    assert "s  single/ar" not in study(clone)
    assert file.read_bytes() == before


def test_a_key_that_params_lack_is_named(clone: Clone) -> None:
    plan = PLAN | {"set": {"synthetic.drfit": 0.5}}
    (clone.path / "params.study.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    assert "params.yaml: synthetic.drfit: unknown key; is it misspelt?" in study(clone, check=False)
