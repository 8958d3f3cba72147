"""The command that predicts, as a user runs it: from the checkout and as `egopack predict`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import stages.predict
from egopack.commands.main import main
from egopack.params import FeatureSet
from tests.support.released import footage, released


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    released(Path("model"), "ar", "oscc", "lta", "pnr", "mq")
    Path("features").mkdir()
    for seed, name in enumerate(("kitchen", "garden")):
        np.save(f"features/{name}.npy", footage(60, seed))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["predict", *arguments, "--device", "cpu"])


def test_a_folder_of_features_becomes_all_forms(place: Path) -> None:
    done = run("model", "features", "--out", "out.json", "--csv", "--srt", "--html", "t.html")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("out.json, out.csv, out.garden.srt, out.kitchen.srt, t.html: ")
    assert done.output.endswith(" predictions of 2 videos\n")
    found = json.loads(Path("out.json").read_text())
    assert set(found) == {"kitchen", "garden"}
    assert set(found["kitchen"]) == {"ar", "oscc", "lta", "pnr", "mq"}
    assert Path("t.html").read_text().count("<figure") == 2


def test_the_stage_is_the_same_command(place: Path) -> None:
    run("model", "features/kitchen.npy", "--out", "a.json")
    done = CliRunner().invoke(
        stages.predict.main, ["model", "features/kitchen.npy", "--out", "b.json", "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes()


def test_segments_and_scores_that_are_asked_for(place: Path) -> None:
    Path("s.csv").write_text("video,start,end\nkitchen,2,6\nkitchen,10,14.5\n")
    done = run("model", "features/kitchen.npy", "--segments", "s.csv", "--out", "out.json")
    assert done.exit_code == 0, done.output
    found = json.loads(Path("out.json").read_text())["kitchen"]["ar"]
    assert [(one["start"], one["end"]) for one in found] == [(2, 6), (10, 14.5)]
    limit = sorted(one["score"] for one in found)[1]
    done = run(
        "model", "features/kitchen.npy", "--segments", "s.csv", "--out", "out.json", "--min-score", str(limit - 1e-5)
    )
    assert len(json.loads(Path("out.json").read_text())["kitchen"]["ar"]) == 1
    assert " of lower score left out" in done.output


def test_feature_sets_are_named(place: Path) -> None:
    released(Path("two"), "ar", sets={"a": FeatureSet(size=4), "b": FeatureSet(size=2)})
    rows = footage(60)
    for name, part in (("a", rows[:, :4]), ("b", rows[:, 4:])):
        Path(name).mkdir()
        np.save(f"{name}/kitchen.npy", part)
    done = run("two", "a=a", "b=b/kitchen.npy", "--out", "out.json")
    assert done.exit_code == 0, done.output
    assert set(json.loads(Path("out.json").read_text())) == {"kitchen"}
    done = run("two", "a=a", "--out", "out.json")
    assert done.exit_code == 1
    assert done.output.startswith("Error: kitchen: the model wants a matrix for each of 'a' ")


def test_spoilt_rows_are_told(place: Path) -> None:
    rows = footage(60)
    rows[4] = np.nan
    np.save("features/kitchen.npy", rows)
    done = run("model", "features/kitchen.npy", "--out", "out.json")
    assert done.exit_code == 0
    assert "Warning: kitchen: 1 of 60 rows with NaN or Inf count as zeros\n" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "features"), "Error: nowhere: not a whole checkpoint: "),
        (("model", "nowhere.npy"), "Error: nowhere.npy: no such file of features"),
        (("model", "model"), "Error: model: a folder without .pt, .npy, .npz, .h5, .hdf5 files"),
        (("model", "features/kitchen.npy", "features"), "Error: features/kitchen.npy: a second video 'kitchen'"),
        (("model", "features", "--segments", "nowhere.csv"), "Error: nowhere.csv: cannot be read "),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], message: str, place: Path) -> None:
    done = run(*arguments, "--out", "out.json")
    assert done.exit_code == 1
    assert done.output.startswith(message)
    assert done.output.count("\n") == 1
    assert not Path("out.json").exists()
