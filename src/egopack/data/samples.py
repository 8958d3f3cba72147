"""Samples of a task: which rows of which video, where they lie in time, and the targets.

One HDF5 file holds all samples of a task and split. Samples differ in length, so each column is ragged: the values of
all samples end to end, and the offsets [samples + 1] at which each begins.

    key, video_uid (UTF-8 bytes)   rows int64   pos float32   targets/<name> of the task's own type and trailing shape
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from egopack.data.hdf5 import new_hdf5
from egopack.errors import UserError


@dataclass(frozen=True)
class Sample:
    """One input of a task.

    key: unique within task and split, the name under which its prediction is found
    rows: int64 [n], rows of the video's feature matrix;  pos: float32 [n], their positions in seconds
    targets: by name, each with a leading dimension (number of segments, of steps, 1 ...)
    """

    key: str
    video_uid: str
    rows: np.ndarray
    pos: np.ndarray
    targets: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)


def write_samples(path: Path | str, samples: Sequence[Sample]) -> None:
    """Write `samples` in their order; the same samples give the same bytes, and a reader sees all of them or no file.

    Raises ValueError for samples that do not fit together: a repeated key, rows and positions of different length,
    targets whose names, types or trailing shapes differ from the first sample's.
    """
    _check(samples)
    with new_hdf5(path) as file:
        file.attrs["samples"] = len(samples)
        _write_texts(file, "key", [sample.key for sample in samples])
        _write_texts(file, "video_uid", [sample.video_uid for sample in samples])
        _write_ragged(file, "rows", [sample.rows for sample in samples], np.dtype(np.int64))
        _write_ragged(file, "pos", [sample.pos for sample in samples], np.dtype(np.float32))
        targets = file.create_group("targets")
        for name in sorted(samples[0].targets) if samples else ():
            parts = [sample.targets[name] for sample in samples]
            _write_ragged(targets, name, parts, parts[0].dtype)


def read_samples(path: Path | str) -> list[Sample]:
    """The samples of a file, in the order they were written; their arrays are read-only views of whole columns.

    Raises UserError where the file is missing or is not one of `write_samples`.
    """
    try:
        with h5py.File(path, "r") as file:
            count = int(file.attrs["samples"])
            keys, uids = _read_texts(file, "key", count), _read_texts(file, "video_uid", count)
            rows, pos = _read_ragged(file, "rows", count), _read_ragged(file, "pos", count)
            targets = {name: _read_ragged(file["targets"], name, count) for name in file["targets"]}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that indexes the samples") from None
    except (OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a whole file of samples ({reason}); remove it, index them again") from None
    columns = {name: iter(values) for name, values in targets.items()}
    return [
        Sample(key, uid, r, p, {name: next(values) for name, values in columns.items()})
        for key, uid, r, p in zip(keys, uids, rows, pos, strict=True)
    ]


def _check(samples: Sequence[Sample]) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.key in seen:
            raise ValueError(f"two samples have the key {sample.key!r}")
        seen.add(sample.key)
        if np.ndim(sample.rows) != 1 or np.shape(sample.rows) != np.shape(sample.pos):
            shapes = f"{np.shape(sample.rows)} and {np.shape(sample.pos)}"
            raise ValueError(f"sample {sample.key!r}: rows and positions have the shapes {shapes}, expected [n] both")
        if sample.targets.keys() != samples[0].targets.keys():
            raise ValueError(f"sample {sample.key!r}: targets {sorted(sample.targets)}, the first has others")
        for name, value in sample.targets.items():
            first = samples[0].targets[name]
            if value.ndim == 0 or value.dtype.kind not in "biuf" or not name or "/" in name or name == ".":
                raise ValueError(
                    f"sample {sample.key!r}: target {name!r} must be an array of numbers, got {value!r:.60}"
                )
            if value.dtype != first.dtype or value.shape[1:] != first.shape[1:]:
                got, expected = f"{value.dtype} {value.shape}", f"{first.dtype} {first.shape}"
                raise ValueError(f"sample {sample.key!r}: target {name!r} is {got}, the first sample's is {expected}")


def _write_ragged(group: h5py.Group, name: str, parts: Sequence[np.ndarray], dtype: np.dtype) -> None:
    column = group.create_group(name)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    values = np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)
    column.create_dataset("values", data=values, track_times=False)
    column.create_dataset("offsets", data=offsets, track_times=False)


def _read_ragged(group: h5py.Group, name: str, count: int) -> list[np.ndarray]:
    values, offsets = group[name]["values"][...], group[name]["offsets"][...]
    values.flags.writeable = False  # the samples share it
    bounds = offsets.tolist()
    return [values[bounds[i] : bounds[i + 1]] for i in range(count)]


def _write_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    _write_ragged(group, name, [np.frombuffer(text.encode(), np.uint8) for text in texts], np.dtype(np.uint8))


def _read_texts(group: h5py.Group, name: str, count: int) -> list[str]:
    return [part.tobytes().decode() for part in _read_ragged(group, name, count)]
