"""Samples of a task: which rows of which video, where they lie in time, what to pool and to predict, and what else is
known of them.

One HDF5 file holds all samples of a task and split. Samples differ in length, so each column is ragged: `values` of
all samples end to end, and the `offsets` [samples + 1] at which each begins.

    key, video_uid                     texts, as UTF-8 bytes
    rows int64, pos float32            of the same lengths
    segments float32 [..., 2]          where the task has them
    targets/<name>, metadata/<name>    of the task's own type and trailing shape
    texts/<name>                       ragged twice: `offsets` into the bytes of all texts, and the `firsts`
                                       [samples + 1] of each sample among them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from egopack.data.hdf5 import DamagedHDF5, new_hdf5, whole_hdf5
from egopack.errors import UserError, refused

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """One input of a task.

    key: unique within task and split, the name under which its prediction is found
    rows: int64 [n], rows of the video's feature matrix;  pos: float32 [n], their positions in seconds
    targets: what a loss compares with, by name, each with a leading dimension (number of segments, of steps, 1 ...);
    of all this, only they and the segments enter a batch
    segments: float32 [S, 2], [start, end] in seconds, over which the features of nodes are pooled; None without pooling
    metadata, texts: what only augmenting, decoding, scores and submissions read: numbers as targets are, and texts
    """

    key: str
    video_uid: str
    rows: np.ndarray
    pos: np.ndarray
    targets: dict[str, np.ndarray]
    segments: np.ndarray | None = None
    metadata: dict[str, np.ndarray] = field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


def pooled_seconds(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """`start` and `end` of the segments of all samples, end to end."""
    segments = np.concatenate([sample.segments for sample in samples if sample.segments is not None])
    return {"start": segments[:, 0].astype(np.float64), "end": segments[:, 1].astype(np.float64)}


def write_samples(path: Path | str, samples: Sequence[Sample]) -> None:
    """Write `samples` in their order; the same samples give the same bytes, and a reader sees all of them or no file.

    Raises ValueError for samples that do not fit together: a repeated key, rows and positions of different length,
    segments of another shape, or targets, metadata or texts whose names, types or trailing shapes differ from those of
    the first sample.
    """
    _check(samples)
    with new_hdf5(path) as file:
        file.attrs["samples"] = len(samples)
        _write_texts(file, "key", [sample.key for sample in samples])
        _write_texts(file, "video_uid", [sample.video_uid for sample in samples])
        _write_ragged(file, "rows", [sample.rows for sample in samples], np.dtype(np.int64))
        _write_ragged(file, "pos", [sample.pos for sample in samples], np.dtype(np.float32))
        segments = [sample.segments for sample in samples if sample.segments is not None]
        if segments:
            _write_ragged(file, "segments", segments, np.dtype(np.float32))
        for kind in ("targets", "metadata"):
            group, columns = file.create_group(kind), [getattr(sample, kind) for sample in samples]
            for name in sorted(columns[0]) if columns else ():
                parts = [column[name] for column in columns]
                _write_ragged(group, name, parts, parts[0].dtype)
        texts = file.create_group("texts")
        for name in sorted(samples[0].texts) if samples else ():
            _write_text_lists(texts, name, [sample.texts[name] for sample in samples])


def read_samples(path: Path | str) -> list[Sample]:
    """The samples of a file, in the order they were written; their arrays are read-only views of whole columns.

    Raises UserError where the file is missing, cannot be read or is not one of `write_samples`.
    """
    try:
        with whole_hdf5(path) as file:
            count = int(file.attrs["samples"])
            keys, uids = _read_texts(file, "key", count), _read_texts(file, "video_uid", count)
            rows, pos = _read_ragged(file, "rows", count), _read_ragged(file, "pos", count)
            segments = _read_ragged(file, "segments", count) if "segments" in file else [None] * count
            targets, metadata = (
                _by_sample({name: _read_ragged(file[kind], name, count) for name in file[kind]}, count)
                for kind in ("targets", "metadata")
            )
            texts = _by_sample({name: _read_text_lists(file["texts"], name, count) for name in file["texts"]}, count)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that indexes the samples") from None
    except DamagedHDF5 as error:
        raise UserError(f"{path}: not a whole file of samples ({error}); remove it, index them again") from None
    except OSError as error:
        raise refused(path, error) from None
    return list(map(Sample, keys, uids, rows, pos, targets, segments, metadata, texts))


def _check(samples: Sequence[Sample]) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.key in seen:
            raise ValueError(f"two samples have the key {sample.key!r}")
        seen.add(sample.key)
        if np.ndim(sample.rows) != 1 or np.shape(sample.rows) != np.shape(sample.pos):
            shapes = f"{np.shape(sample.rows)} and {np.shape(sample.pos)}"
            raise ValueError(f"sample {sample.key!r}: rows and positions have the shapes {shapes}, expected [n] both")
        if (sample.segments is None) != (samples[0].segments is None):
            raise ValueError(f"sample {sample.key!r}: either all samples have segments or none has")
        if sample.segments is not None and np.shape(sample.segments)[1:] != (2,):
            raise ValueError(f"sample {sample.key!r}: segments are {np.shape(sample.segments)}, expected [S, 2]")
        for kind in ("targets", "metadata", "texts"):
            found, first = getattr(sample, kind), getattr(samples[0], kind)
            if found.keys() != first.keys():
                raise ValueError(f"sample {sample.key!r}: {kind} {sorted(found)}, the first has others")
            for name, value in found.items():
                _check_column(f"sample {sample.key!r}: {kind} {name!r}", name, value, first[name])


def _check_column(place: str, name: str, value: np.ndarray | tuple[str, ...], first: np.ndarray) -> None:
    if not name or "/" in name or name == ".":
        raise ValueError(f"{place} must have a name that HDF5 takes")
    if isinstance(value, tuple):
        return
    if value.ndim == 0 or value.dtype.kind not in "biuf":
        raise ValueError(f"{place} must be an array of numbers, got {value!r:.60}")
    if value.dtype != first.dtype or value.shape[1:] != first.shape[1:]:
        got, expected = f"{value.dtype} {value.shape}", f"{first.dtype} {first.shape}"
        raise ValueError(f"{place} is {got}, the first sample's is {expected}")


def _offsets(parts: Sequence[Sized]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)


def _write_ragged(group: h5py.Group, name: str, parts: Sequence[np.ndarray], dtype: np.dtype) -> None:
    column = group.create_group(name)
    values = np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)
    column.create_dataset("values", data=values, track_times=False)
    column.create_dataset("offsets", data=_offsets(parts), track_times=False)


def _read_ragged(group: h5py.Group, name: str, count: int) -> list[np.ndarray]:
    values, offsets = _column(group[name]["values"]), _column(group[name]["offsets"])
    values.flags.writeable = False  # the samples share it
    bounds = offsets.tolist()
    return [values[bounds[i] : bounds[i + 1]] for i in range(count)]


def _column(stored: h5py.Dataset) -> np.ndarray:
    """All of a dataset; ValueError where it claims more than the file holds."""
    if stored.nbytes > stored.file.id.get_filesize():
        raise ValueError(f"{stored.name} has more numbers than the file")
    return np.asarray(stored[...])


def _write_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    _write_ragged(group, name, [np.frombuffer(text.encode(), np.uint8) for text in texts], np.dtype(np.uint8))


def _read_texts(group: h5py.Group, name: str, count: int) -> list[str]:
    return [part.tobytes().decode() for part in _read_ragged(group, name, count)]


def _write_text_lists(group: h5py.Group, name: str, parts: Sequence[Sequence[str]]) -> None:
    _write_texts(group, name, [text for part in parts for text in part])
    group[name].create_dataset("firsts", data=_offsets(parts), track_times=False)


def _read_text_lists(group: h5py.Group, name: str, count: int) -> list[tuple[str, ...]]:
    bounds = _column(group[name]["firsts"]).tolist()
    texts = _read_texts(group, name, bounds[-1])
    return [tuple(texts[bounds[i] : bounds[i + 1]]) for i in range(count)]


def _by_sample(columns: Mapping[str, Sequence[T]], count: int) -> list[dict[str, T]]:
    return [{name: values[index] for name, values in columns.items()} for index in range(count)]
