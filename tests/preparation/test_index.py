from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egopack.data.samples import Sample
from egopack.data.splits import read_labels, read_split
from egopack.errors import UserError
from egopack.params import RegimeParams
from egopack.preparation.index import index_task
from egopack.tasks import base
from egopack.tasks.ar import ActionRecognition
from egopack.tasks.base import SampleSource, TaskBlock, check_task
from egopack.tasks.mq import MqDecode
from tests.support import small

TRAIN = {"batch_size": 4, "epochs": 2, "warmup_epochs": 1, "lr": 0.01}


def block_of(samples: dict[str, list[Sample]], **decode: Any) -> TaskBlock:
    """A block whose task finds the given samples and skips one item in each split."""

    class Found(ActionRecognition):
        @classmethod
        def samples(cls, source: SampleSource, split: str, params: Any) -> list[Sample]:
            source.skips.add("video without features", f"{split}-item")
            return samples[split]

    regimes = RegimeParams.model_validate({"pack": "p", "train": TRAIN, "egopack": TRAIN})
    return TaskBlock(Found, small.task_params("ar"), MqDecode(**decode), regimes)


def index(folder: Path, samples: dict[str, list[Sample]] | None = None, **decode: Any) -> dict[str, Any]:
    if samples is None:
        samples = {
            split: small.samples_of("ar", 3, seed) for seed, split in enumerate(("train", "val", "test_unannotated"))
        }
    source = small.source_of(small.FakeAnnotations())
    block = block_of(samples, **decode)
    return index_task("ar", block, source.annotations, {}, small.GRID, folder / "ar", folder / "settings")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_of_a_task(tmp_path: Path) -> None:
    report = index(tmp_path)
    assert set(contents(tmp_path)) == {
        *(f"ar/{name}" for name in ("train.h5", "val.h5", "test_unannotated.h5", "labels.json", "report.json")),
        "settings/ar.json",
    }
    assert json.loads((tmp_path / "ar" / "report.json").read_text()) == report
    skipped = {"video without features": {"count": 1, "examples": ["val-item"]}}
    found = {"actions": 0, "windows": 0}
    assert report["val"] == {"found": found, "samples": 3, "skipped": skipped, "lacking": []}
    read = read_split(tmp_path / "ar", "val")
    for got, want in zip(read, small.samples_of("ar", 3, 1), strict=True):
        assert (got.key, got.video_uid) == (want.key, want.video_uid)
        np.testing.assert_array_equal(got.segments, want.segments)
    assert read_labels(tmp_path / "ar") == small.LABELS["ar"]


def test_settings_sum_up_what_training_depends_on(tmp_path: Path) -> None:
    index(tmp_path, sigma=3.0)
    settings = json.loads((tmp_path / "settings" / "ar.json").read_text())
    assert settings["labels"] == {"verbs": 5, "nouns": 6}
    assert settings["params"]["model"]["features"] == small.HIDDEN
    assert settings["decode"]["sigma"] == 3.0
    for split in ("train", "val"):
        assert settings["sha256"][split] == hashlib.sha256((tmp_path / "ar" / f"{split}.h5").read_bytes()).hexdigest()
    module = Path(base.__file__).parent / "ar.py"
    assert settings["code"] == hashlib.sha256(module.read_bytes()).hexdigest()


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


def test_a_learning_rate_leaves_the_settings_as_they_were(tmp_path: Path) -> None:
    block = {"annotations": "fho_lta", "pack": "p", "levels": 1, "samples": {}, "model": {"features": 8}}
    bytes_of = []
    for lr in (0.1, 0.2):
        checked = check_task("ar", copy.deepcopy(block) | {"train": TRAIN | {"lr": lr}, "egopack": TRAIN})
        found = TaskBlock(block_of({}).task, checked.params, checked.decode, checked.regimes)
        found.task.samples = classmethod(lambda cls, source, split, params: small.samples_of("ar", 2))
        source = small.source_of(small.FakeAnnotations())
        index_task("ar", found, source.annotations, {}, small.GRID, tmp_path / "ar", tmp_path / "settings")
        bytes_of.append((tmp_path / "settings" / "ar.json").read_bytes())
    assert bytes_of[0] == bytes_of[1]


def test_of_samples_with_one_key_the_first_is_kept(tmp_path: Path) -> None:
    first, second = small.samples_of("ar", 2)
    again = replace(second, key=first.key, video_uid="elsewhere")
    report = index(tmp_path, {split: [first, again, second] for split in ("train", "val", "test_unannotated")})
    assert report["val"]["samples"] == 2
    assert report["val"]["skipped"]["repeated id"] == {"count": 1, "examples": [first.key]}
    kept = read_split(tmp_path / "ar", "val")
    assert [(sample.key, sample.video_uid) for sample in kept] == [("clip0", "video0"), ("clip1", "video1")]
