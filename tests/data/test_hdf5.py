from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from egopack.data.hdf5 import new_hdf5, new_table
from egopack.data.samples import write_samples
from tests.support import small
from tests.support.full_disk import full_disk


def write(path: Path) -> None:
    with new_hdf5(path) as file:
        rows = file.create_dataset("rows", (1000, 8), "f4", track_times=False, fill_time="never")
        for at in range(0, 1000, 250):
            rows[at : at + 250] = np.full((250, 8), at, np.float32)
        file.create_dataset("index", data=np.arange(20), track_times=False)
        file.attrs["plan"] = "p"


def write_table(path: Path) -> None:
    """The same, its rows by threads."""
    with new_table(path, "rows", (1000, 8), "f4") as (file, table):
        with ThreadPoolExecutor(4) as pool:
            blocks = [
                pool.submit(table.write, at, np.full((125, 8), at // 250 * 250, np.float32))
                for at in range(0, 1000, 125)
            ]
        for block in blocks:
            block.result()
        file.create_dataset("index", data=np.arange(20), track_times=False)
        file.attrs["plan"] = "p"


@pytest.mark.parametrize("write", [write, write_table])
def test_the_same_bytes_with_datasets_on_pages(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    write(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["rows"].id.get_offset() % 4096 == 0
        np.testing.assert_array_equal(file["rows"][:, 0], np.repeat([0, 250, 500, 750], 250))
        assert (file["index"][...].tolist(), file.attrs["plan"]) == (list(range(20)), "p")


@pytest.mark.parametrize("write", [write, write_table])
def test_a_full_disk_is_an_error_and_leaves_nothing(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "whole.h5")
    size = (tmp_path / "whole.h5").stat().st_size
    folder = tmp_path / "out"
    for room in (0, 1, 100, 3000, 9000, size // 2, size - 300, size - 1):
        with pytest.raises(OSError, match="File too large") as caught, full_disk(room):
            write(folder / "u.h5")
        assert caught.value.filename == str(folder / "u.h5")
        assert not list(folder.iterdir())
    with full_disk(size):
        write(folder / "u.h5")
    assert (folder / "u.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_full_disk_keeps_the_file_of_before(tmp_path: Path) -> None:
    path = tmp_path / "u.h5"
    write(path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="File too large"), full_disk(5000):
        write(path)
    assert path.read_bytes() == before


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_hdf5(tmp_path / "u.h5") as file:
            file.create_dataset("rows", data=np.zeros(9))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_no_object_keeps_the_time(tmp_path: Path) -> None:
    """The bytes would be others a second later."""
    write_samples(tmp_path / "s.h5", small.samples_of("oscc", 2))
    with new_table(tmp_path / "t.h5", "rows", (2, 3), "float32") as (file, _):
        file.create_group("more")
    kept: dict[str, bool] = {}
    for name in ("s.h5", "t.h5"):
        with h5py.File(tmp_path / name, "r") as file:
            file.visititems(lambda key, one: kept.update({key: one.id.get_create_plist().get_obj_track_times()}))
    datasets = {key for key in kept if key.endswith(("values", "offsets", "firsts", "rows"))}
    assert len(datasets) > 8
    assert not any(kept[key] for key in datasets)
