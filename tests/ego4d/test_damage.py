"""The damage drill: each injured input ends in one line that names it, or is counted as skipped; never in a traceback,
and never in an output that passes for whole.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result

from egopack import checksums
from tests.support.full_disk import full_disk
from tests.support.workplace import SETTINGS, Workplace

SET = SETTINGS.feature_set
TASKS = {"fho_lta": ("ar", "lta"), "fho_oscc-pnr": ("oscc", "pnr"), "moments": ("mq",)}
Injure = Callable[[Workplace], Any]


class Bomb:
    """A pickle that makes the folder `ran` when it is run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def one_line(done: Result) -> str:
    """The error of a stage that failed as it should: one line on its output, exit status 1."""
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    lines = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, done.output
    assert "Traceback" not in done.output
    return lines[0].removeprefix("Error: ")


def passes(done: Result) -> None:
    assert done.exit_code == 0, done.output


def skipped(report: dict[str, Any], reason: str) -> list[str]:
    assert reason in report["skipped"], report["skipped"]
    return report["skipped"][reason]["examples"]


def leftovers(folder: Path) -> list[str]:
    """Temporary files that a stage should have taken away."""
    return [str(path) for path in folder.rglob(".*") if path.is_file()]


# --- annotation files that cannot be trusted: one line names file, place and value


def content(name: str, data: bytes) -> Injure:
    return lambda work: work.annotation(name).write_bytes(data)


def cut(name: str, by: int) -> Injure:
    return lambda work: work.annotation(name).write_bytes(work.annotation(name).read_bytes()[:-by])


def row(name: str, index: int = 0, **change: Any) -> Injure:
    """Change a row of `clips`; a value of ... takes the key away."""

    def injure(work: Workplace) -> None:
        def edit(value: Any) -> None:
            value["clips"][index] |= change
            for key in [key for key, new in change.items() if new is ...]:
                del value["clips"][index][key]

        work.edit_json(name, edit)

    return injure


def clip(name: str, index: int = 0, **change: Any) -> Injure:
    """Change a clip of `videos`."""
    return lambda work: work.edit_json(name, lambda value: value["videos"][index]["clips"][0].update(change))


def label(name: str, annotator: int = 0, **change: Any) -> Injure:
    """Change the first marked segment of the first clip."""

    def edit(value: Any) -> None:
        marked = value["videos"][0]["clips"][0]["annotations"][annotator]["labels"][0]
        marked |= change
        for key in [key for key, new in change.items() if new is ...]:
            del marked[key]

    return lambda work: work.edit_json(name, edit)


def folder_instead(name: str) -> Injure:
    def injure(work: Workplace) -> None:
        work.annotation(name).unlink()
        work.annotation(name).mkdir()

    return injure


def label_file(text: str) -> Injure:
    return lambda work: (work.raw / "annotations" / "mq_labels.tsv").write_text(text)


def all_labels_but_one(work: Workplace) -> None:
    """A list of classes that lacks the one of the first moment."""
    files = [json.loads(work.annotation(f"moments_{split}").read_text()) for split in ("train", "val")]
    rows = [
        row["label"]
        for value in files
        for video in value["videos"]
        for clip in video["clips"]
        for one in clip["annotations"]
        for row in one["labels"]
        if row["primary"]
    ]
    lines = (f"{index}\t{name}\n" for index, name in enumerate(sorted({*rows} - {rows[0]})))
    label_file("".join(lines))(work)


LTA, OSCC, MOMENTS = "fho_lta_train", "fho_oscc-pnr_val", "moments_train"
PLACE = "videos[0].clips[0]"
FILES: dict[str, tuple[str, Injure, str]] = {
    # injury: (task, what is done, the line it ends in)
    "cut short": ("ar", cut(LTA, 30), f"{LTA}.json: not whole JSON at line 1 column"),
    "empty": ("lta", content(LTA, b""), f"{LTA}.json: not whole JSON at line 1 column 1"),
    "a web page": ("oscc", content(OSCC, b"<html>404</html>"), f"{OSCC}.json: not whole JSON at line 1 column 1"),
    "compressed": ("mq", content(MOMENTS, b"\x1f\x8b\x08\x00\xff"), f"{MOMENTS}.json: not UTF-8 at byte 1"),
    "Latin-1": ("pnr", content(OSCC, '{"clips": ["é"]}'.encode("latin-1")), f"{OSCC}.json: not UTF-8 at byte 12"),
    "a list": ("ar", content(LTA, b"[1, 2]"), f"{LTA}.json: the top level is [1, 2], expected an object"),
    "nested without end": ("oscc", content(OSCC, b"[" * 200_000), f"{OSCC}.json: nested too deeply"),
    "no clips": ("lta", content(LTA, b'{"version": "1"}'), f"{LTA}.json: clips is missing, expected a list"),
    "clips as an object": ("pnr", content(OSCC, b'{"clips": {}}'), f"{OSCC}.json: clips is {{}}, expected a list"),
    "a clip that is null": ("oscc", content(OSCC, b'{"clips": [null]}'), f"{OSCC}.json: clips[0] is null, expected an"),
    "a folder": ("mq", folder_instead(MOMENTS), f"{MOMENTS}.json: cannot be read (Is a directory)"),
    "a missing key": ("ar", row(LTA, 3, video_uid=...), f"{LTA}.json: clips[3].video_uid is missing, expected a text"),
    "a text for a number": ("lta", row(LTA, action_idx="7"), f'{LTA}.json: clips[0].action_idx is "7", expected'),
    "half a frame": ("ar", row(LTA, clip_parent_end_frame=0.5), "clips[0].clip_parent_end_frame is 0.5, expected"),
    "a frame that is NaN": ("ar", row(LTA, action_clip_end_frame=float("nan")), "action_clip_end_frame is NaN"),
    "a frame beyond all videos": ("ar", row(LTA, action_idx=10**20), "clips[0].action_idx is 100000000000000000000"),
    "a label that is a name": ("lta", row(LTA, verb_label="cut"), 'clips[0].verb_label is "cut", expected a label id'),
    "a uid that leaves its folder": ("ar", row(LTA, video_uid="../../u"), 'video_uid is "../../u", expected a uid'),
    "a state of yes": ("oscc", row(OSCC, state_change="yes"), 'clips[0].state_change is "yes", expected true or false'),
    "a frame list": ("pnr", row(OSCC, parent_pnr_frame=[3]), "clips[0].parent_pnr_frame is [3], expected a whole"),
    "an infinite second": ("mq", clip(MOMENTS, video_end_sec=float("inf")), f"{PLACE}.video_end_sec is Infinity"),
    "an annotator of another shape": ("mq", clip(MOMENTS, annotations=[5]), f"{PLACE}.annotations[0] is 5, expected"),
    "no primary": ("mq", label(MOMENTS, primary=...), f"{PLACE}.annotations[0].labels[0].primary is missing"),
    "a taxonomy without verbs": ("ar", content("fho_lta_taxonomy", b'{"verbs": []}'), "verbs is [], expected a list"),
    "class names without ids": ("mq", label_file("cut_dough\n"), "mq_labels.tsv: line 1 is 'cut_dough', expected"),
    "class ids twice": ("mq", label_file("0\ta\n0\tb\n"), "mq_labels.tsv: line 2 repeats '0\\tb', expected each id"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_trusted_ends_the_run_in_one_line(name: str, workplace: Workplace) -> None:
    task, injure, message = FILES[name]
    passes(workplace.run("shard"))
    passes(workplace.run("index", task))
    before = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    injure(workplace)
    assert message in one_line(workplace.run("index", task))
    assert {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()} == before
    done = workplace.run("check")
    assert done.exit_code == 1
    assert message in done.output
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("name", [LTA, OSCC, MOMENTS, "fho_lta_taxonomy"])
def test_a_file_that_is_missing_is_listed_with_the_command_that_fetches_it(name: str, workplace: Workplace) -> None:
    workplace.annotation(name).unlink()
    message = one_line(workplace.run("fingerprint"))
    assert f"raw: missing annotations/v1/{name}.json; fetch them with the official client: ego4d" in message
    assert not Path("data").exists()
    workplace.annotation(name).symlink_to("nowhere.json")
    assert f"missing annotations/v1/{name}.json" in one_line(workplace.run("fingerprint"))


def test_a_file_without_permission(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    passes(workplace.run("shard"))
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:  # root may read anything, so permissions alone do not tell
        if path.name == f"{LTA}.json":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert f"{LTA}.json: cannot be read (Permission denied)" in one_line(workplace.run("index", "ar"))


# --- items that are spoilt: counted by reason and named, the others are used


def repeat(name: str, key: str) -> Injure:
    """List the first entry twice."""
    return lambda work: work.edit_json(name, lambda value: value[key].append(value[key][0]))


def clips_from(name: str, **change: Any) -> Injure:
    """Change all rows of the clip of the first row."""

    def edit(value: Any) -> None:
        uid = value["clips"][0]["clip_uid"]
        for one in value["clips"]:
            one.update(change if one["clip_uid"] == uid else {})

    return lambda work: work.edit_json(name, edit)


def change_of_first(name: str, **change: Any) -> Injure:
    """Change the first row that shows a change of state."""

    def edit(value: Any) -> None:
        next(one for one in value["clips"] if one.get("state_change")).update(change)

    return lambda work: work.edit_json(name, edit)


def few_actions(work: Workplace) -> None:
    def edit(value: Any) -> None:
        uid = value["clips"][0]["clip_uid"]
        kept = [one for one in value["clips"] if one["clip_uid"] == uid][:5]
        value["clips"] = kept + [one for one in value["clips"] if one["clip_uid"] != uid]

    work.edit_json(LTA, edit)


FAR = 10**8
ITEMS: dict[str, tuple[str, Injure, str]] = {
    # injury: (task, what is done, the reason under which it is counted)
    "reversed action": (
        "ar", row(LTA, action_clip_start_frame=90, action_clip_end_frame=30), "action that ends before it starts"),
    "action of no length": (
        "lta", row(LTA, action_clip_start_frame=90, action_clip_end_frame=90), "action that ends before it starts"),
    "reversed clip": ("ar", row(LTA, clip_parent_end_frame=-5), "action in a clip that ends before it starts"),
    "unknown verb": ("ar", row(LTA, verb_label=99), "action with a verb that the taxonomy lacks"),
    "negative noun": ("lta", row(LTA, noun_label=-7), "action with a noun that the taxonomy lacks"),
    "unknown video": ("ar", clips_from(LTA, video_uid="nowhere"), "video without features"),
    "clip in two videos": ("ar", row(LTA, video_uid="nowhere"), "action that lies elsewhere than its clip"),
    "clip after the features": (
        "ar", clips_from(LTA, clip_parent_start_frame=FAR, clip_parent_end_frame=FAR + 900),
        "clip outside of the video's features"),
    "actions before the features": (
        "lta", clips_from(LTA, clip_parent_start_frame=-FAR), "observed actions without a feature row"),
    "too few actions": ("lta", few_actions, "clip with too few actions to anticipate"),
    "repeated action": ("lta", repeat(LTA, "clips"), "action listed twice"),
    "reversed window": ("oscc", row(OSCC, parent_end_frame=-1), "window that ends before it starts"),
    "unknown state": ("oscc", change_of_first(OSCC, state_change=None), "state change unknown"),
    "clip of windows in two videos": (
        "oscc", row(OSCC, video_uid="nowhere"), "window that lies in another video than its clip"),
    "window after the features": (
        "pnr", change_of_first(OSCC, parent_start_frame=FAR, parent_end_frame=FAR + 240),
        "window outside of the video's features"),
    "change without a frame": (
        "pnr", change_of_first(OSCC, parent_pnr_frame=None), "state change without a point of no return"),
    "moment of no length": (
        "mq", label(MOMENTS, video_start_frame=50, video_end_frame=50), "moment of no length"),
    "reversed moment": ("mq", label(MOMENTS, video_start_frame=50, video_end_frame=20), "moment of no length"),
    "reversed clip of moments": ("mq", clip(MOMENTS, video_end_frame=-9), "clip that ends before it starts"),
    "clip twice": ("mq", repeat(MOMENTS, "videos"), "repeated id"),
    "unknown moment": ("mq", all_labels_but_one, "unknown moment class"),
}  # fmt: skip


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_that_is_spoilt_is_counted_and_named(name: str, workplace: Workplace) -> None:
    task, injure, reason = ITEMS[name]
    passes(workplace.run("shard"))
    injure(workplace)
    passes(workplace.run("index", task))
    report = json.loads(Path(f"data/samples/{task}/report.json").read_text())
    parts = [part for part in report.values() if reason in part["skipped"]]
    assert parts, report
    assert all(skipped(part, reason) for part in parts)
    done = workplace.run("check")
    passes(done)
    assert reason in done.output


# --- feature files


def feature(index: int, rows: Any) -> Injure:
    return lambda work: torch.save(rows, work.features()[index])


def bytes_of_first(change: Callable[[bytes], bytes]) -> Injure:
    return lambda work: work.features()[0].write_bytes(change(work.features()[0].read_bytes()))


def as_npy(save: Callable[[Path], object]) -> Injure:
    """Put a .npy file in the place of the first .pt file."""

    def injure(work: Workplace) -> None:
        path = work.features()[0]
        path.unlink()
        save(path.with_suffix(".npy"))

    return injure


def in_place_of_first(put: Callable[[Path], object]) -> Injure:
    def injure(work: Workplace) -> None:
        path = work.features()[0]
        path.unlink()
        put(path)

    return injure


WIDTH = SETTINGS.feature_size
NOT_PLAIN = "feature file that is cut short or not a plain tensor"
FEATURES: dict[str, tuple[Injure, str]] = {
    "cut short": (bytes_of_first(lambda data: data[: len(data) // 2]), NOT_PLAIN),
    "empty": (bytes_of_first(lambda data: b""), NOT_PLAIN),
    "a text": (bytes_of_first(lambda data: b"<html>no such key</html>"), NOT_PLAIN),
    "a pickle bomb": (feature(0, Bomb()), NOT_PLAIN),
    "a pickle bomb of old": (
        lambda work: torch.save(Bomb(), work.features()[0], _use_new_zipfile_serialization=False), NOT_PLAIN),
    "a bare pickle bomb": (lambda work: work.features()[0].write_bytes(pickle.dumps(Bomb())), NOT_PLAIN),
    "a pickle bomb of numpy": (
        as_npy(lambda path: np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)),
        "feature file that is cut short or not an array"),
    "a cut array": (as_npy(lambda path: path.write_bytes(b"\x93NUMPY\x01\x00")), "feature file that is cut short or"),
    "no rows": (feature(0, torch.zeros(0, WIDTH)), "feature file without rows"),
    "no columns": (feature(0, torch.zeros(9, 0)), "feature file without columns"),
    "one dimension": (feature(0, torch.zeros(9)), "feature file of 1 dimensions, not rows and columns"),
    "integers": (feature(0, torch.zeros(9, WIDTH, dtype=torch.int64)), "feature file of int64, not of floats"),
    "a dictionary": (feature(0, {"x": torch.zeros(9, WIDTH)}), "feature file that holds something other than"),
    "more rows than bytes": (feature(0, torch.zeros(1, WIDTH).expand(10**9, WIDTH)), "claims more rows than it holds"),
    "another width": (feature(0, torch.zeros(9, WIDTH + 1)), "feature file of another width than its set"),
    "all NaN": (feature(0, torch.full((99, WIDTH), torch.nan)), "video with NaN, Inf or overflow in more than half"),
    "a folder": (in_place_of_first(Path.mkdir), "video that the annotations name, without a feature file"),
    "a link to nowhere": (
        in_place_of_first(lambda path: path.symlink_to("nowhere.pt")),
        "video that the annotations name, without a feature file"),
}  # fmt: skip


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_file_that_is_damaged_is_counted_and_named(name: str, workplace: Workplace) -> None:
    injure, reason = FEATURES[name]
    uid = workplace.features()[0].stem
    injure(workplace)
    passes(workplace.run("fingerprint"))
    passes(workplace.run("shard"))
    assert uid not in Path("data/shards/videos.csv").read_text()
    done = workplace.run("check", "--rows")
    passes(done)
    (line,) = [line for line in done.output.splitlines() if reason in line]
    assert uid in line
    if "annotations name" not in reason:
        assert uid in json.dumps(json.loads(Path("metrics/shards.json").read_text())["skipped"])
    assert not Path("ran").exists()
    assert not leftovers(Path("data"))


def test_a_few_rows_of_nan_are_set_to_zero_and_told(workplace: Workplace) -> None:
    path = workplace.features()[0]
    rows = workplace.matrix(path).copy()
    rows[3, 1], rows[5] = np.nan, np.inf
    workplace.save(path, rows)
    passes(workplace.run("shard"))
    told = json.loads(Path("metrics/shards.json").read_text())["skipped"]
    assert told == {
        "video with rows of NaN, Inf or overflow, set to zero": {"count": 1, "examples": [f"{path.stem}: 2 rows"]}
    }


def test_a_video_with_two_files_is_told(workplace: Workplace) -> None:
    path = workplace.features()[0]
    np.save(path.with_suffix(".npy"), workplace.matrix(path) + 1)
    passes(workplace.run("shard"))
    told = json.loads(Path("metrics/shards.json").read_text())["skipped"]
    assert told == {
        "video with two feature files, of which one is used": {"count": 1, "examples": [f"{SET}/{path.name}"]}
    }


def all_of(rows: Any) -> Injure:
    return lambda work: [torch.save(rows, path) for path in work.features()]


def no_features(work: Workplace) -> None:
    for path in work.features():
        path.unlink()
    work.features_folder.rmdir()


WHOLE_SETS: dict[str, tuple[Injure, str]] = {
    "a width that params.yaml does not say": (
        lambda work: work.edit_params(lambda params: params["data"]["features"][SET].update(size=WIDTH + 1)),
        f"data.features.{SET}.size is {WIDTH + 1}, but the files are {WIDTH} wide; set it to {WIDTH}"),
    "nothing that can be used": (all_of({}), f"raw: no video has features of {SET} that can be used"),
    "a folder that is not there": (no_features, f"raw/features/{SET}: no such folder"),
    "a set that is not there": (
        lambda work: work.edit_params(lambda params: params["data"]["features"].update(mine={"size": 3})),
        "raw/features/mine: no such folder"),
    "a root that is not there": (lambda work: work.raw.rename("elsewhere"), "data.root: 'raw' is not a folder"),
    "a root that is a file": (
        lambda work: (work.raw.rename("elsewhere"), work.raw.touch()), "data.root: 'raw' is not a folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE_SETS)
def test_a_feature_set_that_cannot_be_used_ends_the_run_in_one_line(name: str, workplace: Workplace) -> None:
    injure, message = WHOLE_SETS[name]
    injure(workplace)
    assert message in one_line(workplace.run("shard"))
    assert not Path("data/videos.csv").exists()
    assert not Path("metrics/shards.json").exists()
    done = workplace.run("check")
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)


# --- disks that fill, outputs that are cut


@pytest.mark.parametrize("room", [10, 9000, 40_000])
def test_a_disk_that_fills_while_a_shard_is_written(
    room: int, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "SETTLED_NS", 0)  # so that the note of checksums is to be written too
    with full_disk(room):
        done = workplace.run("shard")
    assert one_line(done).startswith("data/shards/shard-00000.h5: File too large")
    assert not list(Path("data/shards").iterdir())
    assert "videos.csv: no such file, so the shards are not whole" in one_line(workplace.run("index", "ar"))
    passes(workplace.run("shard"))  # and goes on once there is room


@pytest.mark.parametrize(("stage", "arguments"), [("index", ["ar"]), ("count", []), ("fingerprint", [])])
def test_a_disk_that_fills_while_another_stage_writes(stage: str, arguments: list[str], workplace: Workplace) -> None:
    for before in (["fingerprint"], ["shard"], *(["index", task] for tasks in TASKS.values() for task in tasks)):
        passes(workplace.run(*before))
    (Path("data/samples/ar/train.h5")).unlink()
    if stage == "fingerprint":
        shutil.rmtree("data/manifest")  # what is as it should be is not written again
    with full_disk(100):
        done = workplace.run(stage, *arguments)
    assert "File too large; make room on its disk" in one_line(done)
    assert not Path("data/samples/ar/train.h5").exists()
    assert not Path("metrics/data.json").exists()
    assert not leftovers(Path("."))


def test_an_interrupted_shard_is_not_taken_for_whole(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    from egopack.preparation import shards

    read, seen = shards.VideoFeatures, []

    def interrupt(*arguments: Any) -> Any:
        seen.append(arguments)
        if len(seen) > 3:
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(shards, "VideoFeatures", interrupt)
    done = workplace.run("shard")
    assert done.exit_code == 1
    assert not leftovers(Path("data"))
    assert "no such file, so the shards are not whole" in one_line(workplace.run("index", "ar"))


OUTPUTS: dict[str, tuple[str, list[str], str]] = {
    "data/shards/shard-00000.h5": ("train_single", ["ar"], "not a whole shard"),
    "data/videos.csv": ("index", ["ar"], "not a list of videos"),
    "data/shards/videos.csv": ("train_single", ["ar"], "not a list of videos"),
    "data/samples/ar/train.h5": ("train_single", ["ar"], "not a whole file of samples"),
    "data/samples/ar/labels.json": ("train_single", ["ar"], "not a whole JSON file"),
    "data/samples/ar/report.json": ("count", [], "not a whole JSON file"),
    "metrics/shards.json": ("count", [], "not a whole JSON file"),
    "data/manifest/features/egovlp.json": ("count", [], "not a whole JSON file"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_that_was_cut_is_not_taken_for_whole(name: str, workplace: Workplace) -> None:
    for before in (["fingerprint"], ["shard"], *(["index", task] for tasks in TASKS.values() for task in tasks)):
        passes(workplace.run(*before))
    stage, arguments, message = OUTPUTS[name]
    Path(name).write_bytes(Path(name).read_bytes()[:-40])
    line = one_line(workplace.run(stage, *arguments))
    assert line.startswith(name)
    assert message in line


def test_the_drill_is_large_enough() -> None:
    assert len(FILES) + len(ITEMS) + len(FEATURES) + len(WHOLE_SETS) + len(OUTPUTS) > 60
