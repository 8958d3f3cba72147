"""Timelines as records: cut, counted, and the same from every form of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egopack.data.samples import write_samples
from egopack.ego4d.layout import TEST
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.footage.annotations import AFTER, CUT, MISNAMED, UNKNOWN
from egopack.params import FeatureSet, load_params
from egopack.preparation.index import index_split
from egopack.tasks.base import check_task, load_task
from tests.support import footage
from tests.support.workplace import ROOT

VIDEOS = {"a": 60.0, "b": 47.5, "c": 52.0, "d": 40.0}
SPLITS = {"a": "training", "b": "training", "c": "validation", "d": "validation"}
FEATURES = {"own": FeatureSet(size=footage.SIZE)}
TASKS = {"ar": "actions", "lta": "actions", "oscc": "windows", "pnr": "windows", "mq": "moments"}


def corpus(folder: Path) -> tuple[list[footage.Row], dict[str, int]]:
    rows = footage.segments(VIDEOS, np.random.default_rng(0))
    for row in rows:
        row["split"] = SPLITS[row["video"]]
    return rows, footage.write_features(folder / "features" / "own", VIDEOS)


def samples(
    root: Path, source: str, rows: dict[str, int], task: str, kind: str, split: str
) -> tuple[bytes, dict[str, object]]:
    params = (
        load_params(ROOT / "params.yaml")
        .tasks[task]
        .model_copy(update={"annotations": kind, "samples": {"horizon": 2} if task == "lta" else {}})
    )
    annotations = footage.opened(root, source, rows)
    found, report, _ = index_split(load_task(task), check_task(task, params), annotations, rows, FEATURES, split)
    assert found
    write_samples(root / "samples.h5", found)
    return (root / "samples.h5").read_bytes(), {**report}


@pytest.mark.parametrize("task", TASKS)
def test_a_table_and_activitynets_json_give_the_same_samples(tmp_path: Path, task: str) -> None:
    rows, lengths = corpus(tmp_path)
    footage.write_table(tmp_path, rows)
    (tmp_path / "videos.csv").write_text("video,duration\n" + "".join(f"{v},{s}\n" for v, s in VIDEOS.items()))
    footage.write_activitynet(tmp_path / "json", rows, VIDEOS, SPLITS)
    for split in ("train", "val"):
        one = samples(tmp_path, "table", lengths, task, TASKS[task], split)
        other = samples(tmp_path / "json", "activitynet", lengths, task, TASKS[task], split)
        assert one == other


def test_order_in_the_file_does_not_matter(tmp_path: Path) -> None:
    rows, lengths = corpus(tmp_path)
    footage.write_table(tmp_path, rows)
    expected = samples(tmp_path, "table", lengths, "ar", "actions", "train")[0]
    footage.write_table(tmp_path, [rows[i] for i in np.random.default_rng(1).permutation(len(rows))])
    assert samples(tmp_path, "table", lengths, "ar", "actions", "train")[0] == expected


def write(root: Path, *lines: str, columns: str = "video,start,end,verb,noun,label,split") -> None:
    (root / "segments.csv").write_text("\n".join([columns, *lines]) + "\n")


def test_times_are_seconds_on_the_grid_and_segments_end_with_their_video(tmp_path: Path) -> None:
    write(tmp_path, "a,1.01,2.5,cut,apple,,train", "a,9.5,12,cut,apple,,train", "a,11,13,cut,pear,,train",
          "a,3.25,3.4,wash,apple,,train", "b,1,2,slice,apple,,val")  # fmt: skip
    (tmp_path / "videos.csv").write_text("video,duration,fps\na,10,59.94\nb,10,50\n")
    found, skips = footage.opened(tmp_path, "table", {"a": 18, "b": 18}).of("actions"), Skips()
    actions = found.actions("train", skips)
    seconds = [[round(action.start / 30, 6), round(action.end / 30, 6)] for action in actions]
    assert seconds == [[1.01, 2.5], [3.25, 3.4], [9.5, 10.0], [11.0, 10.0]]
    assert [action.timed for action in actions] == [True, True, True, False]
    assert actions[0].clip_end == 300
    assert {reason: entry["examples"] for reason, entry in skips.to_dict().items()} == {
        CUT: ["segments.csv: row 3"],
        AFTER: ["segments.csv: row 4"],
    }
    skips = Skips()
    assert [(action.verb, action.noun) for action in found.actions("val", skips)] == [(-1, 0)]
    assert skips.to_dict()[UNKNOWN]["examples"] == ["segments.csv: row 6, verb: slice"]


@pytest.mark.parametrize("column", ["verb", "noun"])
def test_one_label_alone_is_enough_for_actions(tmp_path: Path, column: str) -> None:
    write(tmp_path, "a,1,2,cut,train", "b,1,2,cut,val", columns=f"video,start,end,{column},split")
    found = footage.opened(tmp_path, "table", {"a": 18, "b": 18}).of("actions")
    (action,) = found.actions("val", Skips())
    assert {"verb": (action.verb, action.noun), "noun": (action.noun, action.verb)}[column] == (0, -1)


def test_what_columns_are_not_there_for_is_said(tmp_path: Path) -> None:
    write(tmp_path, "a,1,2,cut,train", "b,1,2,cut,val", columns="video,start,end,verb,split")
    found = footage.opened(tmp_path, "table", {"a": 18, "b": 18})
    with pytest.raises(
        UserError, match=r"annotations: 'windows' has no column state_change or pnr; there is enough for actions, verbs"
    ):
        found.of("windows")
    with pytest.raises(UserError, match=r"'fho_lta' is not of this form of data"):
        found.of("fho_lta")


def test_the_test_split_has_no_labels(tmp_path: Path) -> None:
    write(tmp_path, "a,1,2,cut,apple,x,train", "b,1,2,cut,apple,x,val", "c,1,2,cut,apple,x,test", "c,3,3.1,,,,test")
    found = footage.opened(tmp_path, "table", {"a": 18, "b": 18, "c": 18})
    actions = found.of("actions").actions(TEST, Skips())
    assert [(action.verb, action.noun, action.timed) for action in actions] == [(None, None, True)] * 2
    (clip,) = found.of("moments").moments(TEST, Skips())
    assert (clip.moments, clip.annotated) == ((), False)


def test_features_of_a_like_name_are_pointed_out(tmp_path: Path) -> None:
    write(tmp_path, "7,1,2,cut,apple,x,train", "kitchen_1,1,2,cut,apple,x,train", "b,1,2,cut,apple,x,val")
    found, skips = footage.opened(tmp_path, "table", {"007": 18, "kitchen-1": 18, "b": 18}), Skips()
    found.of("actions").actions("train", skips)
    assert skips.to_dict()[MISNAMED]["examples"] == ["7: is it 007?", "kitchen_1: is it kitchen-1?"]


def test_a_video_without_segments_is_a_clip_without_moments(tmp_path: Path) -> None:
    write(tmp_path, "a,1,2,cut,apple,x,train", "b,1,2,cut,apple,x,val")
    (tmp_path / "videos.csv").write_text("video,split\nc,train\n")
    clips = footage.opened(tmp_path, "table", {"a": 18, "b": 18, "c": 10}).of("moments").moments("train", Skips())
    assert [(clip.clip_uid, len(clip.moments), clip.end) for clip in clips] == [("a", 1, 288), ("c", 0, 160)]


def test_windows_and_their_points_of_no_return(tmp_path: Path) -> None:
    columns = "video,start,end,state_change,pnr,split,id"
    write(
        tmp_path,
        "a,1,6,yes,3.5,train,w1",
        "a,6,11,no,,train,",
        "a,12,17,,14,train,",
        "b,0,5,yes,1,val,",
        columns=columns,
    )
    windows = footage.opened(tmp_path, "table", {"a": 60, "b": 60}).of("windows").windows("train", Skips())
    found = [(w.unique_id, w.start, w.end, w.state_change, w.pnr) for w in windows]
    assert found == [("w1", 30, 180, True, 105), ("a#1", 180, 330, False, None), ("a#2", 360, 510, True, 420)]
