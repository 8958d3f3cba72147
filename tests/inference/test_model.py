"""A model that left the house predicts what the network does inside of it, whatever it is given and however long."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import egopack
from egopack.errors import UserError
from egopack.inference.model import Model
from egopack.model.checkpoint import save_checkpoint
from egopack.params import FeatureSet
from egopack.tasks.base import load_task
from tests.support import small
from tests.support.released import footage, known_of, released
from tests.support.workplace import ROOT

TASKS = ("ar", "oscc", "lta", "pnr", "mq", "scenario")
LONG = 1500  # rows: 800 s


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    released(path, *TASKS)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return egopack.load(folder, device="cpu")


def of(table: pd.DataFrame, task: str) -> pd.DataFrame:
    return table[table["task"] == task].dropna(axis=1, how="all").reset_index(drop=True)


def test_every_task_tells_names_seconds_and_a_score(model: Model) -> None:
    table = model.predict(footage(300))
    assert list(table)[:6] == ["video", "task", "start", "end", "label", "score"]
    assert sorted(table["task"].unique()) == sorted(TASKS)
    assert table[["start", "end", "score"]].notna().all(axis=None)
    assert table["start"].between(0, 160).all()
    assert (table["end"] <= 160.0 + 1e-3).all()
    assert table["score"].between(0, 1).all()
    names = {"mq": small.LABELS["mq"]["moments"], "oscc": small.LABELS["oscc"]["changes"]}
    assert all(set(of(table, task)["label"]) <= set(classes) for task, classes in names.items())
    assert set(of(table, "ar")["verb"]) <= set("abcde")
    assert len(of(table, "lta")) == 20 * 4 * 5  # windows, steps, sequences


def test_the_example_of_the_package_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    released(Path("model"), "ar")
    np.save("kitchen.npy", footage(60))
    done = doctest.testmod(egopack)
    assert done.attempted == 4
    assert done.failed == 0


def test_recognition_is_that_of_annotated_actions(model: Model, folder: Path) -> None:
    """Segments that are given are what a sample of one clip has, made by the task from annotations."""
    rows = footage(280, seed=1)
    bounds = [(3.0, 11.0), (40.0, 41.5), (140.0, 148.0)]
    actions = [
        small.action(n, round(30 * a), round(30 * b), clip_start=0, clip_end=4480) for n, (a, b) in enumerate(bounds)
    ]
    params = model.head("ar").params
    samples = load_task("ar").samples(small.source_of(small.FakeAnnotations(actions=actions), v=280), "val", params)
    batch = small.collate(samples, [rows[samples[0].rows]], levels=1, radius_s=2.0)
    with torch.no_grad():
        outputs = model("ar", batch)
    probability = torch.softmax(outputs["verb_logits"], 1).max(1)
    found = of(model.predict({"a": rows}, segments={"a": bounds}), "ar")
    assert found["verb"].tolist() == ["abcde"[index] for index in probability.indices]
    assert np.allclose(found["verb_score"], probability.values, atol=1e-6)
    assert found[["start", "end"]].to_numpy().tolist() == [list(one) for one in bounds]


@pytest.mark.parametrize("part_rows", [40, 200])
def test_in_parts_it_predicts_what_it_does_at_once(model: Model, part_rows: int) -> None:
    rows = footage(LONG)
    whole, parts = model.predict(rows, part_rows=10**9), model.predict(rows, part_rows=part_rows)
    for task in ("ar", "oscc", "lta", "pnr"):
        expected, found = of(whole, task), of(parts, task)
        assert found["label"].equals(expected["label"])
        assert np.allclose(found["score"], expected["score"], atol=1e-6)


def test_without_what_lies_around_a_part_it_would_not(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = footage(LONG)
    whole = model.predict(rows, part_rows=10**9)
    monkeypatch.setattr(Model, "reach_s", lambda self: 0.0)
    assert not np.allclose(of(model.predict(rows, part_rows=40), "ar")["score"], of(whole, "ar")["score"], atol=1e-4)


@pytest.mark.parametrize("conv", ["gat", "gcn", "sage", "signed"])
def test_other_convolutions_reach_no_farther(conv: str, tmp_path: Path) -> None:
    released(tmp_path, "ar", backbone=small.backbone_params(conv={"name": conv}))
    model, rows = egopack.load(tmp_path, device="cpu"), footage(400)
    whole, parts = model.predict(rows, part_rows=10**9), model.predict(rows, part_rows=30)
    assert np.allclose(whole["score"], parts["score"], atol=1e-6)


def test_clips_of_a_long_video_are_predicted_one_by_one_and_meet(model: Model) -> None:
    rows = footage(LONG)
    found = of(model.predict(rows), "mq")
    middle = (found["start"] + found["end"]) / 2
    alone = of(model.predict(rows[:900]), "mq")
    first = alone[(alone["start"] + alone["end"]) / 2 < 400]  # the seam of clips at 0 and at 320 s
    own = found[middle < 400]
    assert len(first) == len(own)
    assert np.allclose(np.sort(own["score"]), np.sort(first["score"]), atol=1e-6)
    assert middle.max() > 700


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """Peak memory of an hour and of eight differ by less than the features of the seven hours."""
    released(tmp_path / "model", "ar")
    program = (
        "import resource, sys, numpy as np, egopack\n"
        "model = egopack.load(sys.argv[1], device='cpu')\n"
        "model.predict(sys.argv[2])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for hours in (1, 8):
        path = tmp_path / f"{hours}.npy"
        np.save(path, footage(hours * 6750))
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "model"), str(path)],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            check=True,
            text=True,
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 60, peaks


def test_one_and_many_arrays_tensors_and_files_are_the_same(model: Model, tmp_path: Path) -> None:
    rows = footage(60)
    np.save(tmp_path / "a.npy", rows)
    torch.save(torch.from_numpy(rows), tmp_path / "b.pt")
    expected = model.predict(rows).drop(columns="video")
    for given in (torch.from_numpy(rows), tmp_path / "a.npy", str(tmp_path / "b.pt")):
        assert model.predict(given).drop(columns="video").equals(expected)
    many = model.predict([tmp_path / "a.npy", tmp_path / "b.pt", rows])
    assert many["video"].unique().tolist() == ["a", "b", "2"]
    assert many[many["video"] == "b"].drop(columns="video").reset_index(drop=True).equals(expected)
    assert model.predict({"kitchen": rows})["video"].unique().tolist() == ["kitchen"]


def test_several_feature_sets_are_brought_onto_the_grid_of_the_first(tmp_path: Path) -> None:
    sets = {"b": FeatureSet(size=4), "a": FeatureSet(size=2, stride=8)}
    released(tmp_path, "ar", sets=sets)
    model, rows = egopack.load(tmp_path, device="cpu"), footage(40)
    twice = np.repeat(rows[:, 4:], 2, axis=0)
    found = model.predict({"a": twice, "b": rows[:, :4]})
    released(tmp_path / "one", "ar")
    expected = egopack.load(tmp_path / "one", device="cpu").predict(rows)
    assert found["label"].equals(expected["label"])
    assert np.allclose(found["score"], expected["score"], atol=1e-6)
    with pytest.raises(UserError, match=r"wants a matrix for each of 'b' .*, 'a' "):
        model.predict(rows)


def test_spoilt_rows_count_as_zeros_and_are_told(model: Model) -> None:
    rows = footage(60)
    spoilt = rows.copy()
    rows[[3, 7]] = 0
    spoilt[3, 1], spoilt[7, 2] = np.nan, np.inf
    with pytest.warns(UserWarning, match="0: 2 of 60 rows with NaN or Inf count as zeros"):
        found = model.predict(spoilt)
    assert found.equals(model.predict(rows))
    with pytest.raises(UserError, match="0: video with NaN, Inf or overflow in more than half"):
        model.predict(np.full((60, small.WIDTH), np.nan, np.float32))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            np.zeros((5, 7), np.float32),
            r"^0: an array \[5, 7\] of float32, but the model wants 'egovlp' \(rows of 6 num",
        ),
        (np.zeros(6, np.float32), r"^0: an array \[6\] of float32"),
        (np.zeros((5, 6), np.int64), r"^0: an array \[5, 6\] of int64, .* as floats$"),
        (np.zeros((0, 6), np.float32), r"^0: an array \[0, 6\]"),
        ("nowhere.npy", r"^nowhere.npy: no such file"),
        ("video.mp4", r"^video.mp4: no such file"),
    ],
)
def test_features_that_do_not_fit(given: object, message: str, model: Model) -> None:
    with pytest.raises(UserError, match=message):
        model.predict(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([[0.0, 99.0]], r"segments: 0: \[0, 99\] is no stretch of the video, which has 32.0 s"),
        ([[5.0, 5.0]], r"\[5, 5\] is no stretch"),
        ([[-1.0, 5.0]], r"\[-1, 5\] is no stretch"),
        ([[float("nan"), 5.0]], r"\[nan, 5\] is no stretch"),
        ([], "expected rows of a start and an end"),
        ("first", "expected rows of a start and an end"),
        ({"0": [[0, 8]], "other": [[0, 8]]}, "there is no video 'other'"),
    ],
)
def test_segments_that_do_not_fit(segments: object, message: str, model: Model) -> None:
    with pytest.raises(UserError, match=message):
        model.predict(footage(60), segments=segments)  # type: ignore[arg-type]


def test_the_hub_mixin_saves_and_loads_the_same_folder(model: Model, folder: Path, tmp_path: Path) -> None:
    loaded = Model.from_pretrained(folder)
    rows = footage(60)
    assert loaded.predict(rows).equals(model.predict(rows))
    loaded.save_pretrained(tmp_path / "saved")
    for name in ("config.json", "README.md"):
        assert (tmp_path / "saved" / name).read_bytes() == (folder / name).read_bytes()
    assert egopack.load(tmp_path / "saved", device="cpu").predict(rows).equals(model.predict(rows))


def test_decode_settings_are_those_of_the_config(tmp_path: Path) -> None:
    network = released(tmp_path, *TASKS)
    few = known_of(network, decode={"mq": {"max_segments": 3}})
    save_checkpoint(tmp_path, network, known=few)
    assert len(of(egopack.load(tmp_path, device="cpu").predict(footage(60)), "mq")) == 3
    config = json.loads((tmp_path / "config.json").read_text())
    config["decode"]["mq"] = {"max_segmnets": 3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"config.json: decode.mq.max_segmnets: unknown key"):
        egopack.load(tmp_path)


def test_a_model_that_knows_no_grid_says_so(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, small.network_of("mq"))
    with pytest.raises(UserError, match=r"config\.json: features: empty"):
        egopack.load(tmp_path).predict(footage(60))
