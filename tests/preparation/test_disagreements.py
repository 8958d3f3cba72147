"""What the raw files give twice is held against itself: by check, by index, and in what is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egopack.data.samples import read_samples
from egopack.params import FeatureSet
from egopack.preparation.disagreements import judged, of_sets
from egopack.preparation.survey import FeatureFile, Video
from tests.support.workplace import SETTINGS, Workplace

SET = SETTINGS.feature_set
Injure = Callable[[Workplace], Any]


def errors(workplace: Workplace) -> list[str]:
    return [line for line in workplace.run("check").output.splitlines() if line.startswith("Error: ")]


def report(task: str) -> dict[str, Any]:
    return json.loads(Path(f"data/samples/{task}/report.json").read_text())


def resample(workplace: Workplace, share: float) -> None:
    """Every video with `share` of its rows, spread over all of it."""
    for path in workplace.features():
        rows = workplace.matrix(path)
        workplace.save(path, rows[(np.arange(int(len(rows) * share)) / share).astype(int)].copy())


def cut(workplace: Workplace, share: float, videos: int | None = None) -> None:
    """The first `videos` with the first `share` of their rows alone."""
    for path in workplace.features()[:videos]:
        rows = workplace.matrix(path)
        workplace.save(path, rows[: int(len(rows) * share)].copy())


def rows_of(value: Any) -> list[dict[str, Any]]:
    """Every row of a file of moments, with its clip."""
    return [
        row
        for video in value["videos"]
        for clip in video["clips"]
        for row in [clip, *(label for one in clip.get("annotations") or [] for label in one["labels"])]
    ]


def scale(name: str, ending: str, factor: float) -> Injure:
    """Multiply all numbers whose keys have an ending, in one file."""

    def edit(value: Any) -> None:
        for row in rows_of(value) if "videos" in value else value["clips"]:
            row.update({key: type(old)(old * factor) for key, old in row.items() if key.endswith(ending) and old})

    return lambda work: work.edit_json(name, edit)


def metadata(**change: Any) -> Injure:
    def edit(value: Any) -> None:
        for video in value["videos"]:
            video["video_metadata"] |= change

    return lambda work: work.edit_json("ego4d", edit)


def other_ids(workplace: Workplace) -> None:
    """A taxonomy of another version: one more verb, early in the alphabet."""
    workplace.edit_json("fho_lta_taxonomy", lambda value: value["verbs"].insert(0, "a_new_verb"))


def copy_of_train(name: str) -> Injure:
    def injure(work: Workplace) -> None:
        work.annotation(f"{name}_val").write_bytes(work.annotation(f"{name}_train").read_bytes())

    return injure


def moved_clips(work: Workplace) -> None:
    """Moments whose seconds are those of the video where those of the clip should be."""

    def edit(value: Any) -> None:
        for row in rows_of(value):
            if "label" in row:
                row["start_time"] = row["start_time"] + 300
                row["end_time"] = row["end_time"] + 300

    work.edit_json("moments_val", edit)


def half_as_long(work: Workplace) -> None:
    def edit(value: Any) -> None:
        for video in value["videos"]:
            video["duration_sec"] /= 2
            video["video_metadata"]["num_frames"] //= 2

    work.edit_json("ego4d", edit)


# what is wrong: (how, the name in data.tolerate, the task that notices, what is said)
WHOLE: dict[str, tuple[Injure, str, str, str]] = {
    "every second row": (
        lambda work: resample(work, 0.5), "rows", "oscc",
        f"rows fit a stride of 32, data.features.{SET}.stride is 16, or the features end after 50% of each video"),
    "rows of twice the rate": (
        lambda work: resample(work, 2.0), "rows", "pnr", f"rows fit a stride of 8, data.features.{SET}.stride is 16"),
    "features of a part": (
        lambda work: cut(work, 0.7), "rows", "mq", "the features end after 70% of each video"),
    "annotations of 25 frames a second": (
        scale("moments_train", "_frame", 25 / 30), "seconds", "mq", "frames fit 25 frames a second, not 30"),
    "windows in milliseconds": (
        scale("fho_oscc-pnr_val", "_sec", 1000.0), "seconds", "oscc", "seconds of fho_oscc-pnr_val.json differ"),
    "actions of 60 frames a second": (
        scale("fho_lta_train", "_sec", 0.5), "seconds", "lta", "frames fit 60 frames a second, not 30"),
    "videos of 60 frames a second": (
        metadata(fps=60.0), "rate", "ar", f"data.features.{SET}.fps is to be 60"),
    "a taxonomy of another version": (other_ids, "names", "lta", "labels of another version than the taxonomy's"),
    "one file for two splits": (copy_of_train("moments"), "splits", "mq", "is in train too"),
    "windows of train in val": (copy_of_train("fho_oscc-pnr"), "splits", "pnr", "split is 'train'"),
    "a clock of another start": (
        moved_clips, "seconds", "mq", "seconds of moments_val.json in the clip and in the video"),
    "ends past the videos": (half_as_long, "ends", "ar", "ends of the clips of fho_lta_train.json and of their videos"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_set_that_contradicts_itself_is_an_error_unless_tolerated(name: str, workplace: Workplace) -> None:
    injure, kind, task, said = WHOLE[name]
    injure(workplace)
    assert workplace.run("shard").exit_code == 0
    found = errors(workplace)
    assert any(said in line and line.endswith(f"or add {kind} to data.tolerate") for line in found), found
    done = workplace.run("index", task)
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert any(part["differing"] for part in report(task).values())
    kinds = sorted({line.split("or add ")[1].split()[0] for line in found})
    workplace.edit_params(lambda params: params["data"].update(tolerate=kinds))
    assert errors(workplace) == []
    assert workplace.run("index", task).exit_code == 0
    assert any(part["differing"] for part in report(task).values())  # counted all the same


def test_of_the_built_in_corpus_some_features_are_short_and_nothing_else(workplace: Workplace) -> None:
    assert workplace.run("shard").exit_code == 0
    frames = {
        v["video_uid"]: v["video_metadata"]["num_frames"]
        for v in json.loads(workplace.annotation("ego4d").read_text())["videos"]
    }
    lacking = {path.stem: frames[path.stem] / 16 - len(workplace.matrix(path)) for path in workplace.features()}
    short = [uid for uid, rows in lacking.items() if rows >= 3]
    assert len(short) <= 1
    for task in ("ar", "oscc", "lta", "pnr", "mq"):
        assert workplace.run("index", task).exit_code == 0
        found = [(what, entry["count"]) for part in report(task).values() for what, entry in part["differing"].items()]
        assert found == [(f"feature rows of {SET} and durations in ego4d.json", 1) for _ in short]


def test_single_videos_are_counted_and_the_worst_is_named(workplace: Workplace) -> None:
    cut(workplace, 0.5, videos=1)
    path = workplace.features()[1]
    workplace.save(path, workplace.matrix(path)[:-20].copy())
    done = workplace.run("check")
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if "differ: feature rows" in line]
    worst, other = workplace.features()[0].stem, path.stem
    assert any(f"differ: feature rows of {SET} and durations in ego4d.json: {worst}: " in line for line in lines)
    assert any(other in line for line in lines)
    for stage, *arguments in (["fingerprint"], ["shard"], *(["index", t] for t in ("ar", "oscc", "lta", "pnr", "mq"))):
        assert workplace.run(stage, *arguments).exit_code == 0
    assert workplace.run("count").exit_code == 0
    named = {
        text.split(":")[0]
        for part in report("ar").values()
        for one in part["differing"].values()
        for text in one["examples"]
    }
    assert {worst, other} <= named
    tasks = json.loads(Path("metrics/data.json").read_text())["tasks"]
    assert sum(sum(part["differing"].values()) for part in tasks["ar"].values()) == len(named)


def test_every_stretch_without_a_row_is_counted(workplace: Workplace) -> None:
    workplace.edit_params(lambda params: params["data"].update(tolerate=["rows"]))
    cut(workplace, 0.4)
    assert workplace.run("shard").exit_code == 0
    for task, what in (("ar", "action"), ("oscc", "window"), ("mq", "moment")):
        assert workplace.run("index", task).exit_code == 0
        for split, part in report(task).items():
            empty = 0
            for sample in read_samples(f"data/samples/{task}/{split}.h5"):
                segments = sample.targets["segments"] if task == "mq" else sample.segments
                inside = [[start <= p <= end for p in sample.pos.tolist()] for start, end in segments.tolist()]
                empty += sum(not any(nodes) for nodes in inside)
            counted = part["skipped"].get(f"{what} that no feature row lies in", {"count": 0})["count"]
            assert counted == empty
            assert empty or split == "test_unannotated"


def test_stretches_that_go_on_where_the_features_end_are_counted(workplace: Workplace) -> None:
    workplace.edit_params(lambda params: params["data"].update(tolerate=["rows"]))
    cut(workplace, 0.1)
    rows = {path.stem: len(workplace.matrix(path)) for path in workplace.features()}
    assert workplace.run("shard").exit_code == 0
    for task in ("lta", "pnr"):
        assert workplace.run("index", task).exit_code == 0
    part = report("pnr")["train"]["skipped"]
    windows = [
        one
        for one in json.loads(workplace.annotation("fho_oscc-pnr_train").read_text())["clips"]
        if one.get("state_change")
    ]
    ends = [(one["parent_start_frame"] // 16, one["parent_end_frame"] // 16, rows[one["video_uid"]]) for one in windows]
    cut_off = sum(start < there < end - 2 for start, end, there in ends)
    assert part["window that goes on where the features end"]["count"] == cut_off > 0
    reason = "observed actions that go on where the features end"
    assert any(reason in one["skipped"] for one in report("lta").values())


def test_without_what_is_to_be_compared_nothing_is(workplace: Workplace) -> None:
    resample(workplace, 0.5)
    metadata(fps=None, num_frames="many")(workplace)
    workplace.edit_json("ego4d", lambda value: [video.update(duration_sec=None) for video in value["videos"]])
    assert errors(workplace) == []
    workplace.annotation("ego4d").unlink()
    assert errors(workplace) == []
    workplace.annotation("ego4d").write_text("{")
    assert any("ego4d.json: not whole JSON" in line for line in errors(workplace))


def sets(*rows: int) -> tuple[dict[str, FeatureSet], list[Video]]:
    """Feature sets a, b, ... of five videos; the last has as many rows as named, the others 500."""
    features = {name: FeatureSet(size=4) for name, _ in zip("abc", rows, strict=False)}
    found = tuple(FeatureFile(Path(f"{name}/v.pt"), rows=count) for name, count in zip(features, rows, strict=True))
    return features, [Video(f"v{k}", found) for k in range(5)]


@pytest.mark.parametrize("odd", range(3))
def test_of_several_sets_the_one_is_named_that_differs_from_the_others(odd: int) -> None:
    rows = [500, 500, 500]
    rows[odd] = 250
    _, problems = judged(of_sets(*sets(*rows), {}), ())
    (text,) = (text for _, text in problems)
    assert text.startswith(f"feature rows of {'abc'[odd]} and of the other sets differ for 5 of 5 items")
    assert "rows fit a stride of 32" in text


def test_of_two_sets_either_may_be_wrong() -> None:
    _, problems = judged(of_sets(*sets(500, 250), {}), ())
    assert [text[:17] for _, text in problems] == ["feature rows of a", "feature rows of b"]
    assert not any("likely cause" in text for _, text in problems)
    assert judged(of_sets(*sets(500, 499), {}), ())[1] == []
