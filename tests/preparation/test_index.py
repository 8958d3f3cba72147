from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egopack.data.samples import Sample
from egopack.data.splits import read_labels, read_split
from egopack.errors import UserError
from egopack.preparation.index import index_task
from egopack.tasks.ar import ActionRecognition
from egopack.tasks.base import SampleSource, check_task
from tests.support import small
from tests.support.params_tree import VALID


def task_of(samples: dict[str, list[Sample]]) -> type[ActionRecognition]:
    """A task that finds the given samples and skips one item in each split."""

    class Found(ActionRecognition):
        @classmethod
        def samples(cls, source: SampleSource, split: str, params: Any) -> list[Sample]:
            source.skips.add("video without features", f"{split}-item")
            return samples[split]

    return Found


def index(folder: Path, samples: dict[str, list[Sample]] | None = None) -> dict[str, Any]:
    if samples is None:
        samples = {
            split: small.samples_of("ar", 3, seed) for seed, split in enumerate(("train", "val", "test_unannotated"))
        }
    source = small.source_of(small.FakeAnnotations())
    block = check_task("ar", VALID["tasks"]["ar"])
    return index_task("ar", task_of(samples), block, source.annotations, {}, small.FEATURES, folder / "ar")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_of_a_task(tmp_path: Path) -> None:
    report = index(tmp_path)
    names = ("train.h5", "val.h5", "test_unannotated.h5", "labels.json", "report.json")
    assert set(contents(tmp_path)) == {f"ar/{name}" for name in names}
    assert json.loads((tmp_path / "ar" / "report.json").read_text()) == report
    skipped = {"video without features": {"count": 1, "examples": ["val-item"]}}
    found = {"actions": 0, "windows": 0}
    labelled = small.samples_of("ar", 3, 1)
    counts = {kind: sum(len(one.targets[kind]) for one in labelled) for kind in ("verbs", "nouns")}
    assert report["val"] == {
        "found": found,
        "samples": 3,
        "labels": counts,
        "skipped": skipped,
        "differing": {},
        "lacking": [],
    }
    read = read_split(tmp_path / "ar", "val")
    for got, want in zip(read, small.samples_of("ar", 3, 1), strict=True):
        assert (got.key, got.video_uid) == (want.key, want.video_uid)
        np.testing.assert_array_equal(got.segments, want.segments)
    assert read_labels(tmp_path / "ar") == small.LABELS["ar"]


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    index(tmp_path / "a")
    index(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_with_nothing_usable_writes_nothing(split: str, tmp_path: Path) -> None:
    samples = {name: small.samples_of("ar", 2) for name in ("train", "val", "test_unannotated")} | {split: []}
    with pytest.raises(UserError, match=rf"tasks\.ar: no usable sample in split '{split}' .*1 video without features"):
        index(tmp_path, samples)
    assert not contents(tmp_path)


def test_an_empty_test_split_is_no_error(tmp_path: Path) -> None:
    index(tmp_path, {"train": small.samples_of("ar"), "val": small.samples_of("ar"), "test_unannotated": []})
    assert read_split(tmp_path / "ar", "test_unannotated") == []


def test_of_samples_with_one_key_the_first_is_kept(tmp_path: Path) -> None:
    first, second = small.samples_of("ar", 2)
    again = replace(second, key=first.key, video_uid="elsewhere")
    report = index(tmp_path, {split: [first, again, second] for split in ("train", "val", "test_unannotated")})
    assert report["val"]["samples"] == 2
    assert report["val"]["skipped"]["repeated id"] == {"count": 1, "examples": [first.key]}
    kept = read_split(tmp_path / "ar", "val")
    assert [(sample.key, sample.video_uid) for sample in kept] == [("clip0", "video0"), ("clip1", "video1")]
