"""Feature files of users: what several videos in one HDF5 file are, and grids that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from egopack.errors import UserError
from egopack.inference.features import VideoRows, videos
from egopack.model.config import NamedFeatures
from tests.support.released import footage

ONE = [NamedFeatures(name="egovlp", size=6)]
TWO = [NamedFeatures(name="egovlp", size=4), NamedFeatures(name="omnivore", size=2, window=32)]


def read(path: Path, sets: list[NamedFeatures]) -> dict[str, np.ndarray]:
    return {video.name: video.rows("", np.arange(len(video))) for video in videos(path, sets)}


def test_an_hdf5_file_of_one_matrix_is_the_video_of_its_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "kitchen.h5", "w") as file:
        file["features"] = footage(20)
    assert {name: rows.tolist() for name, rows in read(tmp_path / "kitchen.h5", ONE).items()} == {
        "kitchen": footage(20).tolist()
    }


def test_an_hdf5_file_of_several_has_a_video_for_each(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["a"], file["b"] = footage(20), footage(30, seed=1).astype(np.float16)
    found = read(tmp_path / "all.h5", ONE)
    assert {name: len(rows) for name, rows in found.items()} == {"a": 20, "b": 30}
    assert found["b"].dtype == np.float32


def test_groups_of_an_hdf5_file_hold_the_feature_sets(tmp_path: Path) -> None:
    rows = footage(20)
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["a/egovlp"], file["a/omnivore"] = rows[:, :4], rows[:, 4:]
    (found,) = read(tmp_path / "all.h5", TWO).values()
    assert np.array_equal(found, rows)


def test_rows_on_disk_may_be_asked_for_in_any_order_and_twice(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = footage(20)
    with h5py.File(tmp_path / "a.h5") as file:
        rows = VideoRows("a", [file["x"]], ONE)
        assert np.array_equal(rows.rows("a", np.array([7, 3, 3, 19])), footage(20)[[7, 3, 3, 19]])


@pytest.mark.parametrize(("key", "value"), [("stride", 8), ("window", 32), ("fps", 25.0)])
def test_a_grid_that_is_not_the_models(key: str, value: float, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", footage(20))
    grid = {"stride": 16, "window": 16, "fps": 30.0}
    (tmp_path / "a.json").write_text(json.dumps(grid | {"encoder": "anything"}))
    assert len(read(tmp_path / "a.npy", ONE)["a"]) == 20
    (tmp_path / "a.json").write_text(json.dumps(grid | {key: value}))
    with pytest.raises(UserError, match=rf"a\.json: {key}: {value}, but the model wants 'egovlp' \(rows of 6"):
        read(tmp_path / "a.npy", ONE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = footage(20)
        file["x"].attrs[key] = value
    with pytest.raises(UserError, match=rf"a\.h5: /x: {key}: {value}, but the model wants"):
        read(tmp_path / "a.h5", ONE)


def test_files_that_are_no_features(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"not an array")
    with pytest.raises(UserError, match=r"a\.npy: feature file that is cut short or not an array; the model wants"):
        read(tmp_path / "a.npy", ONE)
    (tmp_path / "a.h5").write_bytes(b"not HDF5")
    with pytest.raises(UserError, match=r"a\.h5: not an HDF5 file"):
        read(tmp_path / "a.h5", ONE)
    (tmp_path / "a.mp4").write_bytes(b"a video")
    with pytest.raises(UserError, match=r"a\.mp4: features are \.pt, \.npy, \.npz, \.h5, \.hdf5 files; .*extract"):
        read(tmp_path / "a.mp4", ONE)
