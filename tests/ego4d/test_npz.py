"""Features as named arrays of .npz files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from egopack.ego4d.features import DamagedFile, VideoFeatures, read_features
from egopack.params import FeatureSet

ROWS = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
OTHERS = {"n_probs": np.zeros((50, 3), np.float32), "v_probs": np.zeros(2)}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_named_array_is_read(tmp_path: Path, save: object, order: str, dtype: str) -> None:
    rows = np.asarray(ROWS.astype(dtype), order=order)
    save(tmp_path / "v.npz", feats=rows, **OTHERS)  # type: ignore[operator]
    found = read_features(tmp_path / "v.npz")
    np.testing.assert_array_equal(found, rows)
    assert found.dtype == (np.float16 if dtype == "f2" else np.float32)
    opened = VideoFeatures([tmp_path / "v.npz"], [FeatureSet(size=3, array="n_probs")])
    assert opened.read(0, 50, "float32")[0].shape == (50, 3)


def test_what_is_stored_as_it_is_is_mapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", feats=ROWS)
    assert isinstance(read_features(tmp_path / "v.npz"), np.memmap)


def test_a_wrong_name_tells_those_that_are_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", feats=ROWS, **OTHERS)
    with pytest.raises(DamagedFile, match=r"without an array 'features' \(it has feats, n_probs, v_probs; data"):
        read_features(tmp_path / "v.npz", "features")


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_cut_short_are_damaged(tmp_path: Path, kept: float, save: object) -> None:
    save(tmp_path / "v.npz", feats=ROWS)  # type: ignore[operator]
    content = (tmp_path / "v.npz").read_bytes()
    (tmp_path / "v.npz").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DamagedFile, match="cut short"):
        read_features(tmp_path / "v.npz")


def test_objects_and_false_sizes_are_damaged(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", feats=np.array([[None]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "one.npy", ROWS)
    content = (tmp_path / "one.npy").read_bytes().replace(b"(50, 6)", b"(59, 6)")
    with zipfile.ZipFile(tmp_path / "claims.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("feats.npy", content)
    for name in ("objects", "claims"):
        with pytest.raises(DamagedFile, match="cut short or not an array"):
            read_features(tmp_path / f"{name}.npz")
