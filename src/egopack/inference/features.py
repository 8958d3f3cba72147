"""Feature rows of videos as users have them: arrays, tensors, files; brought onto a model's grid."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import h5py
import numpy as np

from egopack.ego4d.features import DamagedFile, aligned_rows, read_features, too_many_zeroed
from egopack.ego4d.layout import FEATURE_SUFFIXES
from egopack.errors import UserError, refused
from egopack.model.config import NamedFeatures

if TYPE_CHECKING:
    import torch

Matrix: TypeAlias = "np.ndarray | torch.Tensor | Path | str"
Video: TypeAlias = "Matrix | Mapping[str, Matrix]"  # of a model of several feature sets: one matrix for each of them
Videos: TypeAlias = "Video | Sequence[Video] | Mapping[str, Video]"
HDF5 = (".h5", ".hdf5")
SUFFIXES = (*FEATURE_SUFFIXES, *HDF5)
GRID = ("stride", "window", "fps")  # what a file may say of itself: as HDF5 attributes, or in <file>.json beside it


class VideoRows:
    """The rows of one video on a model's grid, of all feature sets side by side; a row with NaN or Inf is zeros.

    `rows(uid, index [n])` gives float32 [n, D], as loaders ask for them; no more is read than that.
    """

    def __init__(self, name: str, matrices: Sequence[np.ndarray], sets: Sequence[NamedFeatures]) -> None:
        self.name, self.zeroed = name, set[int]()
        self._matrices = matrices
        self._rows = aligned_rows(sets, [len(matrix) for matrix in matrices])

    def __len__(self) -> int:
        return len(self._rows[0])

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray:
        parts = [_take(matrix, own[rows]) for matrix, own in zip(self._matrices, self._rows, strict=True)]
        with np.errstate(over="ignore"):
            found = np.concatenate(parts, axis=1).astype(np.float32)
        spoilt = ~np.isfinite(found).all(axis=1)
        self.zeroed.update(rows[spoilt].tolist())
        found[spoilt] = 0
        return found

    def trouble(self) -> str:
        """What to say of rows that had to be set to zero, once all were asked for; empty where there were none.

        Raises:
            UserError: there were too many.
        """
        if reason := too_many_zeroed(len(self), len(self.zeroed)):
            raise UserError(f"{self.name}: {reason}")
        return f"{self.name}: {len(self.zeroed)} of {len(self)} rows with NaN or Inf count as zeros" * bool(self.zeroed)


def _take(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """matrix[rows], for what lies on disk too, which is read from the first of the rows to the last."""
    first = int(rows.min())
    return np.asarray(matrix[first : int(rows.max()) + 1])[rows - first]


def videos(given: Videos, sets: Sequence[NamedFeatures]) -> Iterator[VideoRows]:
    """Every video that was given, one after the other.

    Raises:
        UserError: a file is damaged, or a matrix is not what the model wants.
    """
    for name, video in _named(given, sets):
        parts = _parts(name, video, sets)
        rows = VideoRows(name, [_matrix(name, parts[one.name], one) for one in sets], sets)
        if not len(rows):
            raise UserError(f"{name}: the feature sets share no moment")
        yield rows


def _named(given: Videos, sets: Sequence[NamedFeatures]) -> Iterator[tuple[str, Any]]:
    """Each video with its name: that of its file or its key, else its number."""
    if isinstance(given, Mapping) and not _is_video(given, sets):
        for name, video in given.items():
            yield str(name), video
    elif isinstance(given, (list, tuple)):
        for number, video in enumerate(given):
            yield from _named_one(str(number), video)
    else:
        yield from _named_one("0", given)


def _named_one(name: str, video: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(video, Mapping):
        paths = [Path(one).stem for one in video.values() if isinstance(one, (str, Path))]
        yield (paths[0] if paths else name), video
    elif isinstance(video, (str, Path)):
        yield from videos_of_file(Path(video))
    else:
        yield name, video


def videos_of_file(path: Path) -> Iterator[tuple[str, Any]]:
    """The videos of a feature file by their names: of HDF5 there may be several, else it is the file's.

    Raises:
        UserError: there is no such file, or it is of another kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of features")
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"{path}: features are {', '.join(SUFFIXES)} files; python -m stages.extract makes them of videos"
        )
    if path.suffix in HDF5:
        yield from _of_hdf5(path)
    else:
        yield path.stem, path


def _is_video(given: Mapping[str, Any], sets: Sequence[NamedFeatures]) -> bool:
    return set(given) == {one.name for one in sets}


def _parts(name: str, video: Any, sets: Sequence[NamedFeatures]) -> Mapping[str, Any]:
    """A matrix for each feature set."""
    if isinstance(video, Mapping) and _is_video(video, sets):
        return video
    if len(sets) > 1 or isinstance(video, Mapping):
        raise UserError(f"{name}: the model wants a matrix for each of {', '.join(map(wanted, sets))}")
    return {sets[0].name: video}


def wanted(one: NamedFeatures) -> str:
    """What a model wants of a feature set, in words."""
    return (
        f"{one.name!r} (rows of {one.size} numbers, one every {one.stride} frames at {one.fps:g} fps, "
        f"each of {one.window} frames)"
    )


def _matrix(name: str, given: Any, one: NamedFeatures) -> np.ndarray:
    """A matrix [n, D] of floats as the model wants it."""
    if isinstance(given, (str, Path)):
        name = str(given)
        _check_grid(Path(given), one)
        try:
            given = read_features(given)
        except DamagedFile as error:
            raise UserError(f"{name}: {error}; the model wants {wanted(one)}") from None
    elif isinstance(given, h5py.Dataset):
        name = f"{given.file.filename}: {given.name}"
        _compare(name, dict(given.attrs), one)
    elif not isinstance(given, np.ndarray):
        given = given.detach().cpu().float().numpy()
    if given.ndim != 2 or given.shape[1] != one.size or not len(given) or given.dtype.kind != "f":
        shape = f"{list(given.shape)} of {given.dtype}"
        raise UserError(f"{name}: an array {shape}, but the model wants {wanted(one)}, as floats")
    return given


def _of_hdf5(path: Path) -> Iterator[tuple[str, Any]]:
    """The videos of an HDF5 file: its datasets by name, or groups of one dataset for each feature set."""
    try:
        file = h5py.File(path, "r", locking=False)  # open as long as its datasets are in use
    except OSError as error:
        if error.errno:
            raise refused(path, OSError(error.errno, os.strerror(error.errno))) from None
        raise UserError(f"{path}: not an HDF5 file ({error})") from None
    matrices = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
    groups = {name: dict(item.items()) for name, item in file.items() if isinstance(item, h5py.Group)}
    if len(matrices) == 1 and not groups:
        yield path.stem, next(iter(matrices.values()))
        return
    yield from matrices.items()
    yield from groups.items()


def _check_grid(path: Path, one: NamedFeatures) -> None:
    """UserError where the JSON beside a feature file says that its rows lie elsewhere than the model wants them."""
    beside = path.with_suffix(".json")
    if beside.is_file():
        try:
            _compare(str(beside), json.loads(beside.read_text(encoding="utf-8")), one)
        except ValueError as error:
            raise UserError(f"{beside}: not JSON ({error})") from None


def _compare(name: str, said: Any, one: NamedFeatures) -> None:
    wants = {"stride": one.stride, "window": one.window, "fps": one.fps}
    for key in GRID if isinstance(said, Mapping) else ():
        if key in said and not np.isclose(float(said[key]), wants[key]):
            raise UserError(f"{name}: {key}: {said[key]}, but the model wants {wanted(one)}")
