from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import egopack.ego4d.features as features_module
from egopack.ego4d.features import DamagedFile, VideoFeatures, aligned_rows, read_features, too_many_zeroed
from egopack.params import FeatureSet


class Bomb:
    """What a pickle of somebody else's may hold: unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def matrix(rows: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float32, np.float32),
        (torch.float16, np.float16),
        (torch.float64, np.float32),
        (torch.bfloat16, np.float32),
    ],
)
def test_pt_files_of_any_float(tmp_path: Path, dtype: torch.dtype, expected: type) -> None:
    tensor = torch.randn(7, 3).to(dtype)
    torch.save(tensor, tmp_path / "u.pt")
    rows = read_features(tmp_path / "u.pt")
    assert rows.dtype == expected
    np.testing.assert_array_equal(rows, tensor.float().numpy().astype(expected))


def test_pt_files_of_every_kind_of_saving(tmp_path: Path) -> None:
    tensor = torch.randn(7, 3)
    torch.save(tensor, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(tensor.requires_grad_(), tmp_path / "grad.pt")
    torch.save(tensor.detach().T.contiguous().T, tmp_path / "strided.pt")
    for name in ("old", "grad", "strided"):
        np.testing.assert_array_equal(read_features(tmp_path / f"{name}.pt"), tensor.detach().numpy())


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8"])
def test_npy_files_of_any_float(tmp_path: Path, dtype: str) -> None:
    values = matrix(5, 3).astype(dtype)
    np.save(tmp_path / "u.npy", values)
    rows = read_features(tmp_path / "u.npy")
    assert rows.dtype == (np.float16 if dtype == "<f2" else np.float32)
    assert rows.dtype.isnative
    np.testing.assert_array_equal(rows, values.astype(rows.dtype))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (torch.zeros(3), "1 dimensions"),
        (torch.zeros(2, 3, 4), "3 dimensions"),
        (torch.zeros(0, 4), "without rows"),
        (torch.zeros(4, 0), "without columns"),
        (torch.zeros(2, 3, dtype=torch.int64), "int64, not of floats"),
        (torch.zeros(2, 3, dtype=torch.complex64), "complex64, not of floats"),
        (torch.zeros(2, 3).to_sparse(), "other than a plain tensor"),
        (torch.zeros(1, 3).expand(10**9, 3), "claims more rows"),
        ({"features": torch.zeros(2, 3)}, "other than a plain tensor"),
        ([1.0], "other than a plain tensor"),
    ],
)
def test_pt_files_of_another_content_are_damaged(tmp_path: Path, value: object, reason: str) -> None:
    torch.save(value, tmp_path / "u.pt")
    with pytest.raises(DamagedFile, match=reason):
        read_features(tmp_path / "u.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_never_run(tmp_path: Path, zipped: bool) -> None:
    torch.save(Bomb(tmp_path / "ran"), tmp_path / "u.pt", _use_new_zipfile_serialization=zipped)
    np.save(tmp_path / "u.npy", np.array([Bomb(tmp_path / "ran")], dtype=object), allow_pickle=True)
    for suffix in ("pt", "npy"):
        with pytest.raises(DamagedFile, match="cut short or not"):
            read_features(tmp_path / f"u.{suffix}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_files_cut_short_are_damaged(tmp_path: Path, kept: float) -> None:
    torch.save(torch.randn(100, 16), tmp_path / "u.pt")
    np.save(tmp_path / "u.npy", matrix(100, 16))
    for suffix in ("pt", "npy"):
        path = tmp_path / f"u.{suffix}"
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(DamagedFile, match="cut short"):
            read_features(path)


def nearest(grid: FeatureSet, other: FeatureSet, i: int) -> int:
    """Row of `other` centerd nearest to row i of `grid`, by trying all; of two as near, the one that starts nearest."""

    def start_and_centre(one: FeatureSet, row: int) -> tuple[Fraction, Fraction]:
        start = Fraction(one.stride * row) / Fraction(one.fps)
        return start, start + Fraction(one.window, 2) / Fraction(one.fps)

    start, center = start_and_centre(grid, i)
    rows = range(-40, 400)
    distance = [(abs(start_and_centre(other, j)[1] - center), abs(start_and_centre(other, j)[0] - start)) for j in rows]
    return rows[min(range(len(rows)), key=lambda n: distance[n])]


sets = st.builds(
    FeatureSet,
    stride=st.integers(4, 32),
    window=st.integers(1, 64),
    fps=st.sampled_from([30.0, 15.0, 29.97]),
    size=st.just(2),
)


@settings(max_examples=40, deadline=None)
@given(sets, sets, st.integers(1, 20), st.integers(1, 60))
def test_alignment_takes_the_nearest_row(grid: FeatureSet, other: FeatureSet, length: int, other_length: int) -> None:
    own, theirs = aligned_rows([grid, other], [length, other_length])
    expected = [nearest(grid, other, i) for i in range(length)]
    count = sum(row < other_length for row in expected)
    assert own.tolist() == list(range(count))
    assert theirs.tolist() == [max(row, 0) for row in expected[:count]]


@pytest.mark.parametrize(("window", "other_window"), [(16, 32), (32, 16), (32, 32)])
def test_sets_of_one_stride_go_row_by_row(window: int, other_window: int) -> None:
    two = [FeatureSet(stride=16, window=window, size=1), FeatureSet(stride=16, window=other_window, size=1)]
    for rows in aligned_rows(two, [10, 8]):
        assert rows.tolist() == list(range(8))


def official_starts(frames: int, stride: int, window: int) -> list[int]:
    """First frames of the windows of the official extraction: the last is moved back to end with the video."""
    starts = list(range(0, frames - window + 1, stride))
    return starts if starts[-1] + window == frames else [*starts, frames - window]


@settings(max_examples=40, deadline=None)
@given(st.integers(64, 400), st.sampled_from([(16, 16), (16, 32), (5, 1)]), st.sampled_from([(16, 32), (5, 1), (8, 8)]))
def test_the_odd_last_row_is_off_by_less_than_a_stride(frames: int, one: tuple[int, int], two: tuple[int, int]) -> None:
    pair = [FeatureSet(stride=stride, window=window, size=1) for stride, window in (one, two)]
    starts = [official_starts(frames, each.stride, each.window) for each in pair]
    assert official_starts(39, 16, 32) == [0, 7]  # the example of the official documentation
    for own, theirs in zip(*aligned_rows(pair, [len(each) for each in starts]), strict=True):
        centers = [starts[k][row] + pair[k].window / 2 for k, row in enumerate((own, theirs))]
        on_grid = [pair[k].stride * row + pair[k].window / 2 for k, row in enumerate((own, theirs))]
        assert all(0 <= ideal - true < each.stride for ideal, true, each in zip(on_grid, centers, pair, strict=True))


def read_video(files: list[Path], sets: list[FeatureSet], storage: str) -> tuple[np.ndarray, int]:
    opened = VideoFeatures(files, sets)
    return opened.read(0, len(opened), storage)


def save(folder: Path, name: str, values: np.ndarray) -> Path:
    torch.save(torch.from_numpy(values), folder / name)
    return folder / name


def test_sets_are_laid_side_by_side(tmp_path: Path) -> None:
    a, b = matrix(10, 3), matrix(16, 2, seed=1)
    files = [save(tmp_path, "a.pt", a), save(tmp_path, "b.pt", b)]
    two = [FeatureSet(stride=16, window=16, size=3), FeatureSet(stride=8, window=16, size=2)]
    rows, zeroed = read_video(files, two, "float32")
    for first, stop in ((0, 1), (3, 8), (7, 8)):
        np.testing.assert_array_equal(VideoFeatures(files, two).read(first, stop, "float32")[0], rows[first:stop])
    np.testing.assert_array_equal(rows, np.concatenate([a[:8], b[:16:2]], axis=1))
    assert zeroed == 0


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_rows_that_are_not_finite_become_zeros(tmp_path: Path, storage: str) -> None:
    values = matrix(12, 3)
    values[1, 0], values[4, 2], values[7], values[8, 1], values[9, 0] = np.nan, -np.inf, 1e30, -65600, np.nan
    values[9, 1:], values[10], values[11] = 1e30, 65504, -40000  # that are large, and their squares' sum larger
    rows, zeroed = read_video([save(tmp_path, "a.pt", values)], [FeatureSet(size=3)], storage)
    bad = [1, 4, 7, 8, 9]
    expected = values.copy()
    expected[bad] = 0
    np.testing.assert_array_equal(rows, expected.astype(storage))
    assert zeroed == len(bad)


@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_blocks_cover_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(features_module, "BLOCK_BYTES", block)
    values = matrix(23, 3)
    values[[4, 5, 19]] = np.nan
    opened = VideoFeatures([save(tmp_path, "a.pt", values)], [FeatureSet(size=3)])
    blocks = list(opened.blocks(2, 21, "float32"))
    values[[4, 5, 19]] = 0
    np.testing.assert_array_equal(np.concatenate([rows for _, rows, _ in blocks]), values[2:21])
    assert [start for start, _, _ in blocks] == list(range(2, 21, max(block // 12, 1)))
    assert sum(zeroed for _, _, zeroed in blocks) == 3


def test_a_video_with_most_rows_not_finite_cannot_be_used() -> None:
    assert not too_many_zeroed(4, 2)
    assert "more than half" in too_many_zeroed(4, 3)


def test_another_width_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="width 3, not 4"):
        read_video([save(tmp_path, "a.pt", matrix(4, 3))], [FeatureSet(size=4)], "float32")
    b = save(tmp_path, "b.pt", matrix(1, 3))
    far = FeatureSet(stride=16, window=400, size=3)
    with pytest.raises(DamagedFile, match="share no moment"):
        read_video([b, b], [far, FeatureSet(size=3)], "float32")
