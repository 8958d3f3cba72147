"""Features made of anybody's timelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egopack.ego4d.manifest import rendered
from egopack.footage.sources import read_timelines
from egopack.footage.timelines import Timelines
from tests.support import footage
from tests.support.workplace import Workplace

VIDEOS = {f"{number:03d}": 70.0 + number for number in range(12)}
SIZE = 32


@pytest.fixture
def own(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A workplace with a table of segments and no features."""
    monkeypatch.delenv("FOOTAGE_ROOT", raising=False)
    rows = [row | {"split": None} for row in footage.segments(VIDEOS, np.random.default_rng(0))]
    footage.write_table(workplace.folder / "own", rows)

    def change(params: dict[str, Any]) -> None:
        params["data"] |= {
            "source": "table",
            "root": "own",
            "features": {"slow": {"size": SIZE, "stride": 8, "fps": 15}},
        }
        for task, kind in {"ar": "actions", "lta": "actions", "oscc": "windows", "pnr": "windows"}.items():
            params["tasks"][task]["annotations"] = kind

    workplace.edit_params(change)
    return workplace


def timelines(own: Workplace) -> Timelines:
    return read_timelines(footage.data_params("table"), own.folder / "own")


def without_mq(params: dict[str, Any]) -> None:
    """The table has no moments in the form that the built-in corpus's block names."""
    del params["tasks"]["mq"], params["helped_by"]["mq"]
    for members in params["packs"].values():
        if "mq" in members:
            members.remove("mq")


def test_rows_show_what_happens_around_them(own: Workplace) -> None:
    done = own.run("render", "out")
    assert done.exit_code == 0, done.output
    rows, verbs = [], []
    for video, parts in timelines(own).segments.groupby("video"):
        features = np.load(f"out/features/slow/{video}.npy")
        last = int(parts["end"].max() * 15) // 8
        assert features.shape == (last, SIZE)
        assert features.dtype == np.float32
        for start, end, verb in zip(parts["start"], parts["end"], parts["verb"], strict=True):
            rows.append(features[min(int((start + end) / 2 * 15 / 8), last - 1)])
            verbs.append(verb)
    rows_, truth = np.array(rows), np.array(verbs)
    half = len(rows_) // 2
    centers = {verb: rows_[:half][truth[:half] == verb].mean(axis=0) for verb in set(verbs)}
    names = sorted(centers)
    distance = np.stack([((rows_[half:] - centers[name]) ** 2).sum(axis=1) for name in names], axis=1)
    assert (np.array(names)[distance.argmin(axis=1)] == truth[half:]).mean() > 0.7  # a third by chance


def test_the_same_bytes_and_a_note_that_they_are_made(own: Workplace) -> None:
    for name in ("one", "two"):
        assert own.run("render", name).exit_code == 0
    files = sorted(path.relative_to("one") for path in Path("one").rglob("*") if path.is_file())
    assert len(files) == len(VIDEOS) + 2  # segments.csv, rendered.json
    assert all((Path("one") / path).read_bytes() == (Path("two") / path).read_bytes() for path in files)
    own.edit_params(lambda params: params["data"].update(root="one"))
    own.edit_params(without_mq)
    assert "Features of slow are rendered" in own.run("check").output
    done = own.run("fingerprint")
    assert done.exit_code == 0, done.output
    assert json.loads(Path("data/manifest/features/slow.json").read_text())["rendered"]["made_of"] == "annotations"
    assert rendered(Path("data/manifest"), ["slow"]) == ["slow"]


def test_what_is_not_rendered(own: Workplace) -> None:
    (own.folder / "out").mkdir()
    (own.folder / "out" / "mine").touch()
    assert own.run("render", "out").output == "Error: out: not empty; name a new folder\n"
    own.edit_params(lambda params: params["data"].update(source="ego4d"))
    assert "data.source: 'ego4d' is not rendered" in own.run("render", "new").output
    assert not Path("new").exists()
