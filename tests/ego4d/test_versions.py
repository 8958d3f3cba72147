"""v1 and v2, and feature sets of every kind, through the stages that read them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egopack.data.shard_reader import FeatureShards
from egopack.data.splits import read_labels, read_split
from egopack.params import FeatureSet
from tests.support.workplace import SETTINGS, Workplace

SET, WIDTH = SETTINGS.feature_set, SETTINGS.feature_size


def run(workplace: Workplace, *stages: str) -> None:
    for stage in stages:
        done = workplace.run(*stage.split())
        assert done.exit_code == 0, done.output


def as_v2(workplace: Workplace) -> None:
    """The same corpus in the manner of v2: no clip_id in LTA's train and val, and more classes."""
    workplace.annotation("fho_lta_train").parent.rename(workplace.raw / "annotations" / "v2")
    workplace.edit_params(lambda params: params["data"].update(version="v2"))
    folder = workplace.raw / "annotations" / "v2"
    for split in ("train", "val"):
        file = folder / f"fho_lta_{split}.json"
        value = json.loads(file.read_text(encoding="utf-8"))
        for one in value["clips"]:
            del one["clip_id"]
        file.write_text(json.dumps(value))
    taxonomy = json.loads((folder / "fho_lta_taxonomy.json").read_text(encoding="utf-8"))
    taxonomy = {"verbs": [*taxonomy["verbs"], "new_verb"], "nouns": [*taxonomy["nouns"], "new", "newer"]}
    (folder / "fho_lta_taxonomy.json").write_text(json.dumps(taxonomy))


def test_v2_gives_the_samples_of_v1_with_its_own_classes(workplace: Workplace) -> None:
    run(workplace, "shard", "index ar", "index lta")
    before = {
        task: (read_split(Path("data/samples") / task, "train"), read_labels(Path("data/samples") / task))
        for task in ("ar", "lta")
    }
    as_v2(workplace)
    run(workplace, "fingerprint", "index ar", "index lta")
    for task, (samples, labels) in before.items():
        folder = Path("data/samples") / task
        assert [sample.key for sample in read_split(folder, "train")] == [sample.key for sample in samples]
        for name, more in (("verbs", 1), ("nouns", 2)):
            assert read_labels(folder)[name][:-more] == labels[name]
    assert json.loads(Path("data/manifest/fho_lta.json").read_text())["version"] == "v2"


def test_a_version_that_is_not_there_is_one_line(workplace: Workplace) -> None:
    workplace.edit_params(lambda params: params["data"].update(version="v2"))
    done = workplace.run("fingerprint")
    assert done.exit_code == 1
    assert "missing annotations/v2/fho_lta_train.json" in done.output
    assert "--version v2" in done.output
    assert done.output.count("\n") == 1


def second_set(workplace: Workplace, one: FeatureSet, dtype: Any, suffix: str) -> dict[str, np.ndarray]:
    """A set `mine` whose rows hold their own number, one odd row at the end; it is put first or second by params."""
    folder = workplace.raw / "features" / "mine"
    folder.mkdir()
    made = {}
    for path in workplace.features():
        frames = 16 * len(workplace.matrix(path))
        rows = int(frames * one.fps / 30 - one.window) // one.stride + 2  # one more, back-padded, for what is left over
        values = np.repeat(np.arange(rows)[:, None], one.size, axis=1).astype(dtype)
        made[path.stem] = values
        if suffix == "npy":
            np.save(folder / f"{path.stem}.npy", values)
        else:
            torch.save(torch.from_numpy(values), folder / f"{path.stem}.pt")
    workplace.edit_params(lambda params: params["data"]["features"].update(mine=one.model_dump()))
    return made


@pytest.mark.parametrize("storage", ["float16", "float32"])
@pytest.mark.parametrize(("dtype", "suffix"), [(np.float16, "pt"), (np.float32, "npy"), (np.float64, "npy")])
@pytest.mark.parametrize(
    "one",
    [
        FeatureSet(stride=16, window=32, size=3),  # as Omnivore and SlowFast
        FeatureSet(stride=8, window=16, size=2),
        FeatureSet(stride=32, window=32, size=1),
        FeatureSet(stride=5, window=7, fps=10.0, size=2),
    ],
    ids=lambda one: f"{one.stride}-{one.window}-{one.fps:g}",
)
def test_two_sets_side_by_side(one: FeatureSet, dtype: Any, suffix: str, storage: str, workplace: Workplace) -> None:
    workplace.edit_params(lambda params: params["data"].update(storage=storage))
    made = second_set(workplace, one, dtype, suffix)
    run(workplace, "shard")
    shards = FeatureShards(Path("data/shards"))
    assert (shards.width, shards.dtype) == (WIDTH + one.size, np.dtype(storage))
    for path in workplace.features():
        stored, first = shards.read(path.stem), workplace.matrix(path)
        np.testing.assert_array_equal(stored[:, :WIDTH], first[: len(stored)].astype(storage))
        taken = stored[:, WIDTH].astype(int)
        assert (stored[:, WIDTH:] == stored[:, [WIDTH]]).all()
        seconds = (16 * np.arange(len(stored)) + 8) / 30
        distance = np.abs((taken * one.stride + one.window / 2) / one.fps - seconds)
        every = (np.arange(len(made[path.stem])) * one.stride + one.window / 2) / one.fps
        assert np.allclose(distance, np.abs(every[None] - seconds[:, None]).min(axis=1))  # no other row is nearer
        assert len(stored) >= len(first) - 2 * max(1, one.stride * 30 / one.fps // 16)  # but for the end, all is there


def test_a_set_of_one_s_own_alone(workplace: Workplace) -> None:
    made = second_set(workplace, FeatureSet(stride=16, window=32, size=3), np.float32, "npy")
    shutil.rmtree(workplace.features_folder)
    workplace.edit_params(lambda params: params["data"]["features"].pop(SET))
    run(workplace, "fingerprint", "shard", "index mq", "check")
    assert FeatureShards(Path("data/shards")).width == 3
    assert sorted(FeatureShards(Path("data/shards")).uids) == sorted(made)


def test_the_odd_last_row_is_used_like_any_other_of_the_first_set(workplace: Workplace) -> None:
    path = workplace.features()[0]
    rows = np.vstack([workplace.matrix(path), np.full((1, WIDTH), 7.0, np.float32)])
    workplace.save(path, rows)
    run(workplace, "shard")
    np.testing.assert_array_equal(FeatureShards(Path("data/shards")).read(path.stem), rows)


def test_numbers_beyond_what_features_can_be_are_told(workplace: Workplace) -> None:
    path = workplace.features()[0]
    rows = workplace.matrix(path).copy()
    rows[4, 1] = 1e6
    workplace.save(path, rows)
    run(workplace, "shard")
    (entry,) = json.loads(Path("metrics/shards.json").read_text())["skipped"].values()
    assert entry == {"count": 1, "examples": [f"{path.stem}: 1 rows"]}
    assert not FeatureShards(Path("data/shards")).read(path.stem)[4].any()
