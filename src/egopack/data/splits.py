"""The samples and classes of a task as its folder holds them, split by split."""

from __future__ import annotations

from pathlib import Path

from egopack.data.samples import Sample, read_samples
from egopack.files import read_json
from egopack.labels import Labels

LABELS = "labels.json"


def split_file(folder: Path, split: str) -> Path:
    """Where the samples of a split are."""
    return folder / f"{split}.h5"


def read_split(folder: Path, split: str) -> list[Sample]:
    """The samples of a split; UserError where the file is missing or damaged."""
    return read_samples(split_file(folder, split))


def count_classes(folder: Path) -> dict[str, int]:
    """How many classes each of the task's sets has."""
    return {key: len(classes) for key, classes in read_labels(folder).items()}


def read_labels(folder: Path) -> Labels:
    """The classes of each of the task's sets."""
    return {key: tuple(value) for key, value in read_json(folder / LABELS).items()}
