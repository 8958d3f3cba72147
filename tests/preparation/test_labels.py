"""A split without labels is told before anything is trained; verbs or nouns alone are enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.workplace import Workplace

Injure = Callable[[Workplace], Any]


def edit_rows(name: str, **change: Any) -> Injure:
    """Change every row of a file; ... takes a key away."""

    def edit(value: Any) -> None:
        for row in value["clips"]:
            for key, new in change.items():
                row.pop(key, None) if new is ... else row.update({key: new})

    return lambda work: work.edit_json(name, edit)


def edit_clips(name: str, change: Callable[[dict[str, Any]], Any]) -> Injure:
    def edit(value: Any) -> None:
        for video in value["videos"]:
            for clip in video["clips"]:
                change(clip)

    return lambda work: work.edit_json(name, edit)


def not_primary(clip: dict[str, Any]) -> None:
    for one in clip["annotations"]:
        for row in one["labels"]:
            row["primary"] = False


def apart(work: Workplace) -> None:
    """Verbs in training, nouns in validation: nothing that is trained can be scored."""
    edit_rows("fho_lta_train", noun_label=-1)(work)
    edit_rows("fho_lta_val", verb_label=-1)(work)


def keep_classes(work: Workplace) -> None:
    """A list of classes, so that they do not follow from the moments."""
    rows = [
        row["label"]
        for split in ("train", "val")
        for video in json.loads(work.annotation(f"moments_{split}").read_text())["videos"]
        for clip in video["clips"]
        for one in clip["annotations"]
        for row in one["labels"]
    ]
    lines = [f"{index:03}\t{name}\n" for index, name in enumerate(sorted(set(rows)))]
    (work.raw / "annotations" / "mq_labels.tsv").write_text("".join(lines))


WITHOUT: dict[str, tuple[str, Injure, str]] = {
    # (task, what is done, what is said)
    "annotations of nobody": (
        "mq", edit_clips("moments_val", lambda clip: clip.update(annotations=None)), "no label in split 'val' of mo"),
    "annotators without a label": (
        "mq", edit_clips("moments_train", lambda clip: [one.update(labels=[]) for one in clip["annotations"]]),
        "no label in split 'train' of moments"),
    "no primary moment": (
        "mq", edit_clips("moments_val", not_primary), "no label in split 'val' of moments, in none of its 5 samples"),
    "classes of another list": (
        "mq", lambda work: (work.raw / "annotations" / "mq_labels.tsv").write_text("0\tnever seen\n"),
        "no label in split 'train' of moments"),
    "all actions unknown": (
        "ar", edit_rows("fho_lta_val", verb_label=-1, noun_label=-1), "no label in split 'val' of fho_lta"),
    "all actions to anticipate unknown": (
        "lta", edit_rows("fho_lta_train", verb_label=-1, noun_label=-1), "no label in split 'train' of fho_lta"),
    "all beyond the taxonomy": (
        "ar", edit_rows("fho_lta_train", verb_label=900, noun_label=900), "no label in split 'train' of fho_lta"),
    "states unknown": (
        "oscc", edit_rows("fho_oscc-pnr_train", state_change=None), "no usable sample in split 'train' of fho_oscc"),
    "no point of no return": (
        "pnr", edit_rows("fho_oscc-pnr_val", parent_pnr_frame=None), "no usable sample in split 'val' of fho_oscc-pnr"),
    "trained by one, scored by the other": (
        "ar", apart, "split 'val' of fho_lta has no label for verbs, and 'train' for nothing else"),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT)
def test_a_split_without_labels_is_told_before_training(name: str, workplace: Workplace) -> None:
    task, injure, said = WITHOUT[name]
    keep_classes(workplace)
    injure(workplace)
    assert workplace.run("shard").exit_code == 0
    done = workplace.run("check")
    assert done.exit_code == 1
    assert [line for line in done.output.splitlines() if line.startswith(f"Error: tasks.{task}: ") and said in line]
    done = workplace.run("index", task)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: tasks.{task}: ")
    assert said in done.output
    assert done.output.count("\n") == 1


def only(kind: str, **how: Any) -> Injure:
    """Annotations of verbs or nouns alone: the labels of the other kind are of this value, or not there."""
    other = "noun" if kind == "verbs" else "verb"

    def injure(work: Workplace) -> None:
        for split in ("train", "val"):
            edit_rows(f"fho_lta_{split}", **{f"{other}_label": how["value"], other: ...})(work)
        if "taxonomy" in how:
            work.edit_json("fho_lta_taxonomy", lambda value: value.update({f"{other}s": how["taxonomy"]}))

    return injure


ALONE: dict[str, tuple[str, Injure]] = {
    "verbs, nouns unknown": ("verbs", only("verbs", value=-1)),
    "verbs, no key for nouns, no names": ("verbs", only("verbs", value=..., taxonomy=[])),
    "nouns, no key for verbs": ("nouns", only("nouns", value=...)),
    "nouns, verbs null, no names": ("nouns", only("nouns", value=None, taxonomy=None)),
    "verbs, nouns of other classes": ("verbs", only("verbs", value=77777)),
}


@pytest.mark.parametrize("name", ALONE)
def test_verbs_or_nouns_alone_run_to_the_end(name: str, workplace: Workplace) -> None:
    kind, injure = ALONE[name]
    there, other = kind[:-1], "noun" if kind == "verbs" else "verb"
    injure(workplace)
    workplace.edit_params(lambda params: params["packs"].update(small=["ar", "lta"]))
    workplace.edit_params(lambda params: params["helped_by"].update(mq="small"))
    done = workplace.run("check")
    assert done.exit_code == 0, done.output
    assert f"no label for {other}s" in done.output
    for stage, *arguments in (
        *(["fingerprint"], ["shard"], ["index", "ar"], ["index", "lta"], ["index", "mq"], ["train_single", "ar"]),
        *(["train_single", "lta"], ["train_multi", "small"], ["build_prototypes", "small"], ["train_egopack", "mq"]),
    ):
        done = workplace.run(stage, *arguments)
        assert done.exit_code == 0, done.output
    for task, metric in (("ar", "top1"), ("lta", "ed")):
        done = workplace.run("evaluate_single", task)
        assert done.exit_code == 0, done.output
        assert f"{other}_{metric} undefined" in done.output
        for column in ("single", "chance"):
            scores = json.loads(Path(f"metrics/{column}/{task}.json").read_text())
            assert {score for metric, score in scores.items() if metric.startswith(other)} == {None}
            assert all(score is not None for metric, score in scores.items() if metric.startswith(there))


def test_a_best_epoch_is_chosen_by_what_is_defined(workplace: Workplace) -> None:
    only("verbs", value=-1)(workplace)
    workplace.edit_params(lambda params: params["tasks"]["ar"]["train"].update(epochs=2, extras={"evaluate_every": 1}))
    for stage, *arguments in (["fingerprint"], ["shard"], ["index", "ar"], ["train_single", "ar"]):
        done = workplace.run(stage, *arguments)
        assert done.exit_code == 0, done.output
    header, *rows = Path("metrics/curves/single/ar.csv").read_text().splitlines()
    assert "ar/verb_top1" in header
    assert "noun_top1" not in header
    assert len(rows) == 2
