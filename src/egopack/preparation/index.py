"""From annotations to the sample files of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from egopack.data.grid import Grid
from egopack.data.samples import Sample, write_samples
from egopack.data.splits import LABELS, split_file
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.layout import SPLITS
from egopack.ego4d.skips import Skipped, Skips
from egopack.errors import UserError
from egopack.files import write_json
from egopack.params import TaskBlock
from egopack.tasks.base import SampleSource, Task

NEEDED = ("train", "val")  # a challenge's test split may be absent from a user's plans; these may not be empty


class SplitReport(TypedDict):
    """What a split of a task holds."""

    found: dict[str, int]  # what its annotation file lists
    samples: int
    skipped: Skipped
    lacking: list[str]  # videos without features that samples ask for


def index_task(
    name: str,
    task: type[Task],
    block: TaskBlock,
    annotations: Annotations,
    rows: Mapping[str, int],
    grid: Grid,
    folder: Path,
) -> dict[str, SplitReport]:
    """Write <folder>/<split>.h5, labels.json and report.json; return the report.

    `rows` is how many feature rows each video has.

    Raises:
        UserError: an annotation file cannot be trusted, or a split that training needs has nothing usable.
    """
    report: dict[str, SplitReport] = {}
    found: dict[str, list[Sample]] = {}
    for split in SPLITS:
        found[split], report[split] = index_split(task, block, annotations, rows, grid, split)
        if split in NEEDED and not found[split]:
            raise UserError(nothing_usable(name, block, split, report[split]))
    for split, samples in found.items():
        write_samples(split_file(folder, split), samples)
    labels = task.labels(annotations)
    write_json(folder / LABELS, {key: list(value) for key, value in labels.items()})
    write_json(folder / "report.json", report)
    return report


def index_split(
    task: type[Task], block: TaskBlock, annotations: Annotations, rows: Mapping[str, int], grid: Grid, split: str
) -> tuple[list[Sample], SplitReport]:
    """The samples of a split and its part of the report."""
    source = SampleSource(annotations, rows, grid, Skips())
    samples = distinct(task.samples(source, split, block), source.skips)
    return samples, {
        "found": annotations.found(block.annotations, split),
        "samples": len(samples),
        "skipped": source.skips.to_dict(),
        "lacking": sorted(source.lacking),
    }


def nothing_usable(name: str, block: TaskBlock, split: str, report: SplitReport) -> str:
    """What to say of a split that training needs and that has no sample."""
    reasons = ", ".join(f"{entry['count']} {reason}" for reason, entry in report["skipped"].items())
    source = block.annotations
    return f"tasks.{name}: no usable sample in split {split!r} of {source} ({reasons or 'the file lists none'})"


def distinct(samples: Sequence[Sample], skips: Skips) -> list[Sample]:
    """The first sample of each key; the others are counted as skipped."""
    kept: dict[str, Sample] = {}
    for sample in samples:
        if kept.setdefault(sample.key, sample) is not sample:
            skips.add("repeated id", sample.key)
    return list(kept.values())
