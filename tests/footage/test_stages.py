"""A table of segments through the stages that read raw data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egopack.data.splits import read_labels, read_split
from tests.support import footage
from tests.support.workplace import Workplace

VIDEOS = {f"{number:03d}": 60.0 + number for number in range(10)}
KINDS = {"ar": "actions", "lta": "actions", "oscc": "windows", "pnr": "windows", "mq": "moments"}


@pytest.fixture
def own(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A workplace whose raw data is a table of segments in the folder `own`."""
    monkeypatch.delenv("FOOTAGE_ROOT", raising=False)
    root = workplace.folder / "own"
    rows = [row | {"split": None} for row in footage.segments(VIDEOS, np.random.default_rng(0))]
    footage.write_table(root, rows)
    footage.write_features(root / "features" / "own", VIDEOS)

    def change(params: dict[str, Any]) -> None:
        params["data"] |= {"source": "table", "root": "own", "features": {"own": {"size": footage.SIZE}}}
        params["tasks"]["lta"]["samples"]["horizon"] = 2
        for task, kind in KINDS.items():
            params["tasks"][task]["annotations"] = kind

    workplace.edit_params(change)
    return workplace


def ok(workplace: Workplace, stage: str, *arguments: str) -> str:
    done = workplace.run(stage, *arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_table_becomes_samples_of_every_task(own: Workplace) -> None:
    ok(own, "fingerprint")
    manifest = json.loads(Path("data/manifest/actions.json").read_text())
    assert set(manifest["files"]) == {"segments.csv"}
    assert sorted(manifest["split"].values()) == ["train"] * 8 + ["val"] * 2
    assert dict(line.split(",") for line in Path("data/split.csv").read_text().split()[1:]) == manifest["split"]
    ok(own, "shard")
    for task in KINDS:
        ok(own, "index", task)
        videos = {
            split: {sample.video_uid for sample in read_split(Path("data/samples") / task, split)}
            for split in ("train", "val")
        }
        assert videos["val"] == {video for video, split in manifest["split"].items() if split == "val"}
        assert len(videos["train"]) == 8
    assert read_labels(Path("data/samples/ar")) == {"verbs": ("cut", "open", "wash"), "nouns": ("apple", "door")}
    assert read_labels(Path("data/samples/mq")) == {"moments": ("cut up", "open up", "wash up")}
    assert (
        read_split(Path("data/samples/ar"), "val")[0]
        .texts["names"][0]
        .startswith(read_split(Path("data/samples/ar"), "val")[0].key)
    )


def test_the_split_stays_when_videos_are_added(own: Workplace) -> None:
    ok(own, "fingerprint")
    before = Path("data/split.csv").read_text().split()
    more = VIDEOS | {f"new {number}": 70.0 for number in range(5)}
    rows = [row | {"split": None} for row in footage.segments(more, np.random.default_rng(0))]
    footage.write_table(own.folder / "own", rows)
    footage.write_features(own.folder / "own" / "features" / "own", more)
    ok(own, "fingerprint")
    after = Path("data/split.csv").read_text()
    assert all(line in after.split("\n") for line in before)
    assert after.count("\n") == 16


def test_check_tells_what_can_be_learned(own: Workplace) -> None:
    footage.write_features(own.folder / "own" / "features" / "own", {"garden": 30.0, "attic": 30.0})
    output = ok(own, "check")
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert any(line.startswith("actions AR, LTA verb, noun") for line in lines)
    assert "3 verbs, 3 of them in train, 3 in val" in lines
    assert "videos 8 2 0" in lines
    assert "2 videos have features of own, but no labels: attic, garden" in lines
    assert not Path("data").exists()


def test_what_is_wrong_with_a_table_stops_every_stage_in_one_line(own: Workplace) -> None:
    path = own.folder / "own" / "segments.csv"
    path.write_text(path.read_text().replace("001,0.25", "001,a quarter"))
    for stage in ("fingerprint", "check"):
        done = own.run(stage)
        assert done.exit_code == 1
        assert "own/segments.csv: row" in done.output
        assert "start: 'a quarter', expected seconds, as 12.5 or 1:02.5" in done.output
    assert not Path("data").exists()


def test_annotations_that_a_table_cannot_have_are_named(own: Workplace) -> None:
    own.edit_params(lambda params: params["tasks"]["ar"].update(annotations="fho_lta"))
    done = own.run("fingerprint")
    assert "tasks.ar.annotations: 'fho_lta' is not one of actions, windows, moments, verbs, nouns" in done.output


def test_a_missing_table_is_asked_for(own: Workplace) -> None:
    (own.folder / "own" / "segments.csv").unlink()
    for stage in ("fingerprint", "check"):
        assert "own: missing segments.csv; src/egopack/footage/README.md tells" in own.run(stage).output
