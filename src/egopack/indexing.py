"""From annotations to the sample files of a task, and the summary that a pack of tasks reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from egopack.data.grid import Grid
from egopack.data.samples import Sample, read_samples, write_samples
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.layout import SPLITS
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.files import read_json, write_json
from egopack.tasks import base
from egopack.tasks.base import Labels, SampleSource, TaskBlock

NEEDED = ("train", "val")  # a challenge's test split may be absent from a user's plans; these may not be empty


def index_task(
    name: str,
    block: TaskBlock,
    annotations: Annotations,
    rows: Mapping[str, int],
    grid: Grid,
    folder: Path,
    settings: Path,
) -> dict[str, Any]:
    """Write <folder>/<split>.h5, labels.json and report.json, and <settings>/<name>.json; return the report.

    `rows` is how many feature rows each video has.

    Raises:
        UserError: an annotation file cannot be trusted, or a split that training needs has nothing usable.
    """
    report, found = {}, {}
    for split in SPLITS:
        skips = Skips()
        found[split] = distinct(
            block.task.samples(SampleSource(annotations, rows, grid, skips), split, block.params), skips
        )
        report[split] = {"samples": len(found[split]), "skipped": skips.to_dict()}
        if split in NEEDED and not found[split]:
            reasons = (
                ", ".join(f"{entry['count']} {reason}" for reason, entry in skips.to_dict().items())
                or "the file lists none"
            )
            raise UserError(
                f"tasks.{name}: no usable sample in split {split!r} of {block.params.annotations} ({reasons})"
            )
    for split, samples in found.items():
        write_samples(folder / f"{split}.h5", samples)
    labels = block.task.labels(annotations)
    write_json(folder / "labels.json", {key: list(value) for key, value in labels.items()})
    write_json(folder / "report.json", report)
    write_json(
        settings / f"{name}.json",
        {
            "params": block.params.model_dump(mode="json"),
            "decode": block.decode.model_dump(mode="json"),
            "labels": {key: len(value) for key, value in labels.items()},
            "sha256": {split: digest(folder / f"{split}.h5") for split in NEEDED},
            "code": digest(Path(base.__file__).with_name(f"{name}.py")),
        },
    )
    return report


def distinct(samples: Sequence[Sample], skips: Skips) -> list[Sample]:
    """The first sample of each key; the others are counted as skipped."""
    kept: dict[str, Sample] = {}
    for sample in samples:
        if kept.setdefault(sample.key, sample) is not sample:
            skips.add("repeated id", sample.key)
    return list(kept.values())


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_split(folder: Path, split: str) -> list[Sample]:
    """Samples of a split as `index_task` wrote them."""
    return read_samples(folder / f"{split}.h5")


def read_labels(folder: Path) -> Labels:
    """Label sets as `index_task` wrote them."""
    return {key: tuple(value) for key, value in read_json(folder / "labels.json").items()}
