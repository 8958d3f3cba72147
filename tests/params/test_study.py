"""A study's plan: what it runs, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from egopack.errors import UserError
from egopack.params.study import load_study
from tests.support.workplace import ROOT

PLAN: dict[str, Any] = {
    "seeds": {"tuning": [1, 2], "verdict": [3, 4]},
    "set": {"a.b": 1},
    "questions": {
        "lr": {
            "about": "?",
            "seeds": "tuning",
            "set": {"a.b": 2, "c": 5},
            "grid": {"x.lr": [0.1, 0.2], "x.epochs": [3]},
            "regimes": ["single/mq"],
        },
        "head": {
            "about": "?",
            "seeds": "verdict",
            "variants": {
                "old": {"regimes": ["single/mq", "multi/all/mq"]},
                "new": {"set": {"h": 1}, "regimes": ["single/mq"]},
            },
            "differences": [{"better": "new:single/mq", "than": "old:single/mq"}],
        },
    },
}


def written(tmp_path: Path, plan: dict[str, Any]) -> Path:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    return tmp_path / "study.yaml"


def test_every_variant_on_every_seed_of_its_kind(tmp_path: Path) -> None:
    plan = load_study(written(tmp_path, PLAN))
    runs = list(plan.runs([]))
    assert [run[:3] for run in runs] == [
        ("lr", "lr=0.1 epochs=3", 1),
        ("lr", "lr=0.2 epochs=3", 1),
        ("lr", "lr=0.1 epochs=3", 2),
        ("lr", "lr=0.2 epochs=3", 2),
        *[("head", name, seed) for seed in (3, 4) for name in ("old", "new")],
    ]
    assert runs[1][3].set == {"a.b": 2, "c": 5, "x.lr": 0.2, "x.epochs": 3, "seed": 1, "synthetic.seed": 1}
    assert runs[1][3].regimes == ["single/mq"]
    assert runs[-1][3].set == {"a.b": 1, "h": 1, "seed": 4, "synthetic.seed": 4}
    assert [run[2] for run in plan.runs(["head"])] == [3, 3, 4, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": {"tuning": [1, 3], "verdict": [3]}}, r"seeds \[3\] are both for tuning and for the verdict"),
        ({"sedes": {}}, "sedes: unknown key"),
        ({"questions": {"q": {"about": "?", "seeds": "all"}}}, "questions.q.seeds"),
        (
            {"questions": {"q": {"about": "?", "seeds": "tuning", "variants": {"v": {"regimes": ["double/mq"]}}}}},
            "not single/TASK, egopack/TASK or multi/PACK/TASK",
        ),
        (
            {
                "questions": {
                    "q": PLAN["questions"]["head"]
                    | {"differences": [{"better": "new:egopack/mq", "than": "old:single/mq"}]}
                }
            },
            "'new:egopack/mq' is not one of new:single/mq, old:multi/all/mq, old:single/mq",
        ),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_study(written(tmp_path, PLAN | change))


def test_a_question_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no question 'x', only lr, head"):
        list(load_study(written(tmp_path, PLAN)).runs(["x"]))


def test_the_study_of_the_project_sets_what_its_params_have() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    plan = load_study(ROOT / "params.study.yaml")
    keys = {key for *_, how in plan.runs([]) for key in how.set}
    for key in keys:
        block = params
        for part in key.split("."):
            assert part in block, key
            block = block[part]
