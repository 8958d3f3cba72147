"""Paired differences, against scipy's own test and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from egopack.evaluation.paired import differences, interval, markdown, over
from egopack.params.study import Question


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(1, 2, 9), rng.normal(0, 1, 9)
    mean, half = interval((ours - theirs).tolist())
    expected = ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((expected.low, expected.high))
    expected = ttest_rel(ours, theirs).confidence_interval(1 - 0.05 / 7)
    assert interval((ours - theirs).tolist(), 7)[1] == pytest.approx((expected.high - expected.low) / 2)


def test_one_seed_proves_nothing() -> None:
    assert interval([1.5]) == (1.5, math.inf)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        mean, half = interval(rng.normal(0.3, 1.0, 6).tolist())
        held += abs(mean - 0.3) <= half
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_pairs_are_seeds_and_the_sign_is_in_favor_of_the_better() -> None:
    question = Question.model_validate(
        {
            "about": "?",
            "seeds": "verdict",
            "variants": {"a": {"regimes": ["egopack/pnr", "single/pnr"]}},
            "differences": [{"better": "a:egopack/pnr", "than": "a:single/pnr"}],
        }
    )
    scores = {
        ("egopack/pnr", 1): 0.4,
        ("egopack/pnr", 2): 0.5,
        ("egopack/pnr", 9): 7.0,
        ("single/pnr", 1): 0.7,
        ("single/pnr", 2): 0.9,
    }
    rows = pd.DataFrame(
        [("a", seed, regime, "pnr", "error_s", value) for (regime, seed), value in scores.items()],
        columns=["variant", "seed", "regime", "task", "metric", "value"],
    )
    (row,) = differences(rows, question).itertuples(index=False)
    assert row[:5] == ("pnr", "error_s", "a:egopack/pnr", "a:single/pnr", 2)
    assert (row.mean_better, row.mean_than, row.difference) == pytest.approx((0.45, 0.8, 0.35))
    assert row.half_width == pytest.approx(12.7062 * 0.05, rel=1e-4)
    assert "| pnr error_s | a:egopack/pnr | a:single/pnr | 2 | 0.45, 0.8 | +0.35 ± 0.64 |" in markdown(
        differences(rows, question)
    )


def test_a_table_over_the_values_of_each() -> None:
    question = Question.model_validate(
        {
            "about": "?",
            "seeds": "verdict",
            "each": {"videos": [60, 6], "task": ["pnr", "mq"]},
            "variants": {"a": {"regimes": ["egopack/{task}", "single/{task}"]}},
            "differences": [{"better": "a:egopack/{task}", "than": "a:single/{task}"}],
        }
    )
    gains = {("pnr", 60): 0.25, ("pnr", 6): 0.5, ("mq", 6): -2.0}
    rows = pd.DataFrame(
        [
            (f"a videos={videos} task={task}", seed, f"{regime}/{task}", task, metric, value)
            for (task, videos), gain in gains.items()
            for seed in (1, 2)
            for metric in (["error_s"] if task == "pnr" else ["map"])
            for regime, value in (("single", 9.0), ("egopack", 9 - gain if task == "pnr" else 9 + gain))
        ],
        columns=["variant", "seed", "regime", "task", "metric", "value"],
    )
    assert over(differences(rows, question), "videos").splitlines() == [
        "| metric | single, 6 videos | egopack − single, 6 videos | single, 60 videos | egopack − single, 60 videos |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| PNR error_s ↓ | 9 | +0.5 ± 0 | 9 | +0.25 ± 0 |",
        "| MQ map ↑ | 9 | -2 ± 0 |  |  |",
    ]
    few = differences(rows[rows["variant"].str.contains("videos=60")], question)
    assert over(few, "videos").splitlines()[0] == "| metric | single | egopack − single |"
    assert over(differences(rows[:0], question), "videos") == ""
