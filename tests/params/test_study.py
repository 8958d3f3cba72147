"""A study's plan: what it runs, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from egopack.errors import UserError
from egopack.params.study import fields_of, load_study, trained
from stages._study import write_settings
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
    assert runs[1][3].tuned is None
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
            "not single/TASK, egopack/TASK, ensemble/TASK, averaged/TASK or multi/PACK/TASK",
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


TUNED: dict[str, Any] = {
    "about": "?",
    "seeds": "verdict",
    "each": {"videos": [6, 60], "task": ["ar", "mq"]},
    "set": {"labelled.{task}.videos": "{videos}", "note": "{task} on {videos} of {all}"},
    "tune": {"lr": [0.1, 0.2, 0.4]},
    "variants": {"plain": {}},
    "regimes": ["single/{task}", "egopack/{task}", "multi/all/{task}"],
    "differences": [{"better": "plain:egopack/{task}", "than": "plain:single/{task}"}],
    "figure": {"kind": "lines", "x": "videos"},
}
OTHER = {
    "about": "?",
    "seeds": "verdict",
    "each": {"task": ["ar", "mq"], "pack": ["ar", "mq"]},
    "differ": ["task", "pack"],
    "variants": {"one": {"tuned": "labels:plain videos=6 task={task}"}},
    "regimes": ["egopack/{task}"],
}
WITH_TUNING = {"seeds": PLAN["seeds"], "questions": {"labels": TUNED, "other": OTHER}}


def test_a_question_is_asked_at_every_place(tmp_path: Path) -> None:
    plan = load_study(written(tmp_path, WITH_TUNING))
    found = plan.questions["labels"].all_variants()
    places = [(6, "ar"), (6, "mq"), (60, "ar"), (60, "mq")]
    assert list(found) == [f"plain videos={videos} task={task}" for videos, task in places]
    one = found["plain videos=60 task=mq"]
    assert one.set == {"labelled.mq.videos": 60, "note": "mq on 60 of {all}"}  # a number stays one
    assert one.regimes == ["single/mq", "egopack/mq", "multi/all/mq"]
    sides = list(plan.questions["labels"].all_differences())
    assert len(sides) == 4
    assert sides[1][:2] == ("plain videos=6 task=mq:egopack/mq", "plain videos=6 task=mq:single/mq")
    assert list(plan.questions["other"].all_variants()) == ["one task=ar pack=mq", "one task=mq pack=ar"]


def test_every_regime_has_the_same_grid_on_the_tuning_seeds_alone(tmp_path: Path) -> None:
    runs = list(load_study(written(tmp_path, WITH_TUNING)).tuning_runs([]))
    assert {run.seed for run in runs} == {1, 2}
    tried: dict[str, list[tuple[Any, ...]]] = {}
    for run in runs:
        for regime in run.how.regimes:
            kind, name = regime.split("/")[:2]
            key = {"single": f"tasks.{name}.train.lr", "egopack": f"tasks.{name}.egopack.lr", "multi": "multi.lr"}[kind]
            tried.setdefault(regime, []).append((run.variant, run.seed, run.how.set[key]))
            assert ("multi.lr" in run.how.set) == (kind == "multi")  # or the pack would be another
    assert set(tried) == {"single/ar", "egopack/ar", "multi/all/ar", "single/mq", "egopack/mq", "multi/all/mq"}
    for regime, points in tried.items():
        task = regime.split("/")[-1]
        assert sorted(points) == sorted(
            (f"plain videos={videos} task={task}", seed, lr)
            for videos in (6, 60) for seed in (1, 2) for lr in (0.1, 0.2, 0.4)
        )  # fmt: skip


def test_what_is_not_tuned_is_not_judged(tmp_path: Path) -> None:
    plan = load_study(written(tmp_path, WITH_TUNING))
    assert list(plan.runs([])) == []
    assert len(plan.waiting([], {})) == 14
    place = "plain videos=6 task=ar"
    chosen = {("labels", place, "egopack/ar"): {"lr": 0.4}, ("labels", place, "multi/all/ar"): {"lr": 0.1}}
    runs = list(plan.runs([], chosen))
    assert [(run.question, run.variant, run.seed, run.how.regimes) for run in runs] == [
        (*one, seed, [regime])
        for seed in (3, 4)
        for one, regime in (
            (("labels", place), "egopack/ar"),
            (("labels", place), "multi/all/ar"),
            (("other", "one task=ar pack=mq"), "egopack/ar"),
        )
    ]
    learning = [(run.how.set.get("tasks.ar.egopack.lr"), run.how.set.get("multi.lr")) for run in runs[:3]]
    assert learning == [(0.4, None), (None, 0.1), (0.4, None)]
    assert len(plan.waiting([], chosen)) == 11


def test_an_ensemble_is_judged_when_both_of_its_members_are_tuned(tmp_path: Path) -> None:
    asked = TUNED | {"regimes": ["single/{task}", "egopack/{task}", "ensemble/{task}"], "differences": []}
    plan = load_study(written(tmp_path, {"seeds": PLAN["seeds"], "questions": {"labels": asked}}))
    tried = {regime for run in plan.tuning_runs([]) for regime in run.how.regimes}
    assert tried == {"single/ar", "egopack/ar", "single/mq", "egopack/mq"}
    place = "plain videos=6 task=ar"
    alone = {("labels", place, "single/ar"): {"lr": 0.1}}
    assert {regime for run in plan.runs([], alone) for regime in run.how.regimes} == {"single/ar"}
    runs = list(plan.runs([], alone | {("labels", place, "egopack/ar"): {"lr": 0.4}}))
    assert [run.how.regimes for run in runs] == [["single/ar", "egopack/ar", "ensemble/ar"]] * 2
    assert (runs[0].how.set["tasks.ar.train.lr"], runs[0].how.set["tasks.ar.egopack.lr"]) == (0.1, 0.4)


def test_an_average_of_the_task_alone_needs_its_tuning_and_no_other(tmp_path: Path) -> None:
    asked = TUNED | {"regimes": ["single/{task}", "averaged/{task}"], "differences": []}
    plan = load_study(written(tmp_path, {"seeds": PLAN["seeds"], "questions": {"labels": asked}}))
    assert {regime for run in plan.tuning_runs([]) for regime in run.how.regimes} == {"single/ar", "single/mq"}
    runs = list(plan.runs([], {("labels", "plain videos=6 task=ar", "single/ar"): {"lr": 0.2}}))
    assert [run.how.regimes for run in runs] == [["single/ar", "averaged/ar"]] * 2
    assert runs[0].how.set["tasks.ar.train.lr"] == 0.2


def test_a_place_is_judged_with_what_was_tuned_at_another(tmp_path: Path) -> None:
    asked = TUNED | {"tune_at": {"videos": {6: 60}}}
    plan = load_study(written(tmp_path, WITH_TUNING | {"questions": {"labels": asked}}))
    assert {run.variant for run in plan.tuning_runs([])} == {f"plain videos=60 task={task}" for task in ("ar", "mq")}
    chosen = {("labels", "plain videos=60 task=mq", "egopack/mq"): {"lr": 0.4}}
    runs = [run for run in plan.runs([], chosen) if run.seed == 3]
    assert [(run.variant, run.how.set["labelled.mq.videos"]) for run in runs] == [
        ("plain videos=6 task=mq", 6),
        ("plain videos=60 task=mq", 60),
    ]
    assert {run.how.set["tasks.mq.egopack.lr"] for run in runs} == {0.4}
    with pytest.raises(UserError, match="tuned: no question 'labels' tunes a 'plain videos=6 task=ar'"):
        load_study(written(tmp_path, WITH_TUNING | {"questions": {"labels": asked, "other": OTHER}}))


def test_what_was_chosen_for_a_regime_is_told_of_it_alone(tmp_path: Path) -> None:
    regimes = ["single/{task}", "egopack/{task}", "ensemble/{task}", "averaged/{task}"]
    asked = TUNED | {"regimes": regimes, "differences": []}
    plan = load_study(written(tmp_path, {"seeds": PLAN["seeds"], "questions": {"labels": asked}}))
    place = ("labels", "plain videos=6 task=ar")
    run, _ = plan.runs([], {(*place, "single/ar"): {"lr": 0.2}, (*place, "egopack/ar"): {"lr": 0.4}})
    single, novel = "tasks.ar.train.lr=0.2", "tasks.ar.egopack.lr=0.4"
    told = [single, novel, f"{single} {novel}", single]
    assert [run.how.chosen_for(regime) for regime in run.how.regimes] == told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": {"lr": [0.1, 0.3]}}, "start.lr: 0.3 is not in tune.lr"),
        ({"tune_at": {"videos": {6: 15}}}, "tune_at.videos: 15 is not in each.videos"),
        ({"tune": {"lr": [0.1, 0.2]}}, "questions.labels.tune.lr"),  # no place between two edges
        ({"figure": {"kind": "lines", "x": "steps"}}, "'steps' is not one of the keys of each: videos, task"),
        ({"differ": ["pack"]}, "'pack' is not one of the keys of each"),
    ],
)
def test_what_is_refused_of_one_that_tunes(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_study(written(tmp_path, {"seeds": PLAN["seeds"], "questions": {"labels": TUNED | change}}))


def test_whose_tuning_is_taken_is_there(tmp_path: Path) -> None:
    wrong = OTHER | {"variants": {"one": {"tuned": "labels:plain videos=7 task={task}"}}}
    with pytest.raises(UserError, match="no question 'labels' tunes a 'plain videos=7 task=ar'"):
        load_study(written(tmp_path, {"seeds": PLAN["seeds"], "questions": {"labels": TUNED, "other": wrong}}))


def test_the_study_of_the_project_sets_what_its_params_have(tmp_path: Path) -> None:
    plan, file = load_study(ROOT / "params.study.yaml"), tmp_path / "params.yaml"
    seed = plan.seeds.verdict[0]
    for name, question in plan.questions.items():
        settings = {key: value for one in question.all_variants().values() for key, value in one.set.items()}
        fields = {key: values[0] for key, values in question.tune.items()}
        for regime in {part for one in question.all_variants().values() for of in one.regimes for part in trained(of)}:
            settings |= fields_of(regime, fields)
        file.write_bytes((ROOT / "params.yaml").read_bytes())
        write_settings(file, plan.set | settings | {"seed": seed, "synthetic.seed": seed})
        assert yaml.safe_load(file.read_text())["seed"] == seed, name


def test_a_setting_that_params_lack_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    for key, message in (
        ("synthetic.drfit", "synthetic.drfit: unknown key"),
        ("tasks.mq.decode.x", r"tasks\.mq\.decode"),
    ):
        file.write_bytes((ROOT / "params.yaml").read_bytes())
        with pytest.raises(UserError, match=message):
            write_settings(file, {key: 1})
