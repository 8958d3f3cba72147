"""Which point of a grid is best, by hand and by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egopack.evaluation.tuning import chosen, markdown, neighbors, tuned, wanted
from egopack.params.study import StudyParams

RATES, STEPS = [0.1, 0.2, 0.4], [5, 10, 20]


def study(start: dict[str, Any] | None = None, **tune: Any) -> StudyParams:
    question = {
        "about": "?",
        "seeds": "verdict",
        "tune": tune,
        "start": start or {},
        "variants": {"v": {}},
        "regimes": ["single/pnr", "egopack/ar"],
    }
    return StudyParams.model_validate({"seeds": {"tuning": [1, 2], "verdict": [3]}, "questions": {"q": question}})


def pnr(lr: float, seed: int) -> tuple[str, str, int]:
    return "single/pnr", f"lr={lr}", seed


def rows_of(scores: dict[tuple[str, str, int], dict[str, float]]) -> pd.DataFrame:
    """Of (regime, point, seed) the metrics."""
    rows = [
        ("q", "v", point, seed, regime, regime.split("/")[-1], metric, value)
        for (regime, point, seed), metrics in scores.items()
        for metric, value in metrics.items()
    ]
    return pd.DataFrame(rows, columns=["question", "variant", "point", "seed", "regime", "task", "metric", "value"])


def test_the_best_mean_of_seeds_whichever_way_a_metric_counts() -> None:
    plan = study(lr=RATES)
    errors = {0.1: (0.5, 0.7), 0.2: (0.4, 0.6), 0.4: (0.1, 1.2)}  # of seeds 1 and 2; less is better
    scores = {
        ("single/pnr", f"lr={lr}", seed): {"error_s": values[seed - 1]}
        for lr, values in errors.items()
        for seed in (1, 2)
    }
    scores[("single/pnr", "lr=0.4", 3)] = {"error_s": 0.0}  # of a verdict seed: not to be looked at
    found = tuned(rows_of(scores), plan)
    row = found.set_index("regime").loc["single/pnr"]
    assert (row["best"], row["runs"], row["of"], row["edge"]) == ("lr=0.2", 6, 6, "")
    assert row["score"] == pytest.approx(-0.5)
    assert row["next"] == "lr=0.1: -0.6, lr=0.4: -0.65"
    assert chosen(found, plan) == {("q", "v", "single/pnr"): {"lr": 0.2}}


def test_the_best_of_two_metrics_over_a_grid_of_two_fields() -> None:
    plan, rng = study(lr=RATES, epochs=STEPS), np.random.default_rng(0)
    scores = {
        ("egopack/ar", f"lr={lr} epochs={epochs}", seed): {"verb_top1": rng.random(), "noun_top1": rng.random()}
        for lr in RATES for epochs in STEPS for seed in (1, 2)
    }  # fmt: skip
    sums: dict[str, float] = {}
    for (_, point, _), metrics in scores.items():
        sums[point] = sums.get(point, 0) + sum(metrics.values())
    row = tuned(rows_of(scores), plan).set_index("regime").loc["egopack/ar"]
    assert row["best"] == max(sums, key=sums.__getitem__)
    assert row["score"] == pytest.approx(max(sums.values()) / 4)
    assert set(neighbors(plan.questions["q"], "lr=0.2 epochs=5")) == {
        *("lr=0.1 epochs=5", "lr=0.4 epochs=5", "lr=0.2 epochs=10"),
    }


def test_nothing_is_chosen_before_all_ran_and_what_is_on_the_edge_is_named() -> None:
    plan = study(lr=RATES)
    scores = {pnr(lr, seed): {"error_s": lr} for lr in RATES for seed in (1, 2)}
    whole = tuned(rows_of(scores), plan)
    assert whole.set_index("regime").loc["single/pnr", "edge"] == "lr"
    assert "| lr: widen the grid |" in markdown(whole)
    del scores["single/pnr", "lr=0.4", 2]
    part = tuned(rows_of(scores), plan)
    row = part.set_index("regime").loc["single/pnr"]
    assert (row["best"], row["runs"], row["of"]) == ("", 5, 6)
    assert chosen(part, plan) == {}
    nothing = tuned(rows_of({}), plan)
    assert len(nothing) == 2
    assert "single/pnr" not in markdown(nothing)
    assert markdown(nothing).endswith("2 regimes have no run yet.")
    assert markdown(part).count("single/pnr") == 1


def test_a_score_that_is_not_finite_is_never_the_best() -> None:
    plan = study(lr=RATES)
    scores = {
        ("single/pnr", f"lr={lr}", seed): {"error_s": np.nan if lr == 0.1 else lr} for lr in RATES for seed in (1, 2)
    }
    assert tuned(rows_of(scores), plan).set_index("regime").loc["single/pnr", "best"] == "lr=0.2"


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(3, 5), height=st.integers(3, 5))
def test_a_search_ends_where_nothing_beside_is_better_for_any_regime(seed: int, width: int, height: int) -> None:
    """Run what is wanted until nothing more is, on a landscape that is drawn."""
    rates, steps, rng = list(range(width)), list(range(height)), np.random.default_rng(seed)
    plan = study({"lr": rates[:2], "epochs": steps[-2:]}, lr=rates, epochs=steps)
    plan.questions["q"].regimes[1] = "egopack/pnr"
    heights = {(regime, point): rng.random() for regime in ("single/pnr", "egopack/pnr")
               for point in plan.questions["q"].points()}  # fmt: skip
    ran: list[str] = []
    while left := [
        point for point in wanted(rows_of(scores_at(ran, heights)), plan)["q", "v", False] if point not in ran
    ]:
        assert ran or sorted(left) == sorted(f"lr={lr} epochs={epochs}" for lr in rates[:2] for epochs in steps[-2:])
        ran += left
    found = tuned(rows_of(scores_at(ran, heights)), plan).set_index("regime")
    for regime in ("single/pnr", "egopack/pnr"):
        best = found.loc[regime, "best"]
        assert heights[regime, best] == min(heights[regime, point] for point in ran)
        assert all(heights[regime, best] <= heights[regime, other] for other in neighbors(plan.questions["q"], best))
        assert found.loc[regime, "runs"] == found.loc[regime, "of"] == 2 * len(ran)


def scores_at(points: list[str], heights: dict[tuple[str, str], float]) -> dict[tuple[str, str, int], dict[str, float]]:
    return {
        (regime, point, seed): {"error_s": height}
        for (regime, point), height in heights.items() for seed in (1, 2) if point in points
    }  # fmt: skip


def test_what_ran_beyond_the_start_of_a_search_counts() -> None:
    plan = study({"lr": [0.1, 0.2]}, lr=[0.1, 0.2, 0.4, 0.8, 1.6])
    del plan.questions["q"].regimes[1]
    errors = {0.1: 0.1, 0.2: 0.2, 0.8: 0.05}  # the start alone would end at 0.1
    table = rows_of({pnr(lr, seed): {"error_s": error} for lr, error in errors.items() for seed in (1, 2)})
    assert wanted(table, plan) == {("q", "v", False): [f"lr={lr}" for lr in (0.1, 0.2, 0.4, 0.8, 1.6)]}
    assert tuned(table, plan)["best"].tolist() == [""]
