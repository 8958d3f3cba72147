"""From annotations to the sample files of a task."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
from egopack.params import FeatureSet, TaskBlock
from egopack.preparation.disagreements import Problem, judged, of_videos
from egopack.tasks.base import SampleSource, Task

NEEDED = ("train", "val")  # a challenge's test split may be absent from a user's plans; these may not be empty


class SplitReport(TypedDict):
    """What a split of a task holds."""

    found: dict[str, int]  # what its annotation file lists
    samples: int
    skipped: Skipped
    differing: Skipped  # items of which the files give something twice, and not the same
    lacking: list[str]  # videos without features that samples ask for


def index_task(
    name: str,
    task: type[Task],
    block: TaskBlock,
    annotations: Annotations,
    rows: Mapping[str, int],
    features: Mapping[str, FeatureSet],
    folder: Path,
    tolerated: Collection[str] = (),
) -> dict[str, SplitReport]:
    """Write <folder>/<split>.h5, labels.json and report.json; return the report.

    `rows` is how many feature rows each video has, on the grid of the first of the feature sets.

    Raises:
        UserError: an annotation file cannot be trusted, a split that training needs has nothing usable, or files
            contradict themselves as a whole, in something that is not `tolerated`; then all is written, to look into.
    """
    report: dict[str, SplitReport] = {}
    found: dict[str, list[Sample]] = {}
    problems: list[Problem] = []
    for split in SPLITS:
        found[split], report[split], wrong = index_split(task, block, annotations, rows, features, split, tolerated)
        problems += wrong
        if split in NEEDED and not found[split]:
            raise UserError(
                "; ".join([nothing_usable(name, block, split, report[split]), *(text for _, text in wrong)])
            )
    for split, samples in found.items():
        write_samples(split_file(folder, split), samples)
    labels = task.labels(annotations.of(block.annotations))
    write_json(folder / LABELS, {key: list(value) for key, value in labels.items()})
    write_json(folder / "report.json", report)
    if problems:
        more = f" (and {len(problems) - 1} more, which the command check lists)" if len(problems) > 1 else ""
        raise UserError(f"{annotations.root}: {problems[0][1]}{more}")
    return report


def index_split(
    task: type[Task],
    block: TaskBlock,
    annotations: Annotations,
    rows: Mapping[str, int],
    features: Mapping[str, FeatureSet],
    split: str,
    tolerated: Collection[str] = (),
) -> tuple[list[Sample], SplitReport, list[Problem]]:
    """The samples of a split, its part of the report, and what the files as a whole contradict themselves in."""
    name, first = next(iter(features.items()))
    source = SampleSource(annotations.of(block.annotations), rows, Grid(first.stride, first.fps), Skips())
    samples = distinct(task.samples(source, split, block), source.skips)
    given = of_videos(name, first, rows, annotations.footage(), sorted(source.asked))
    given += annotations.twice(block.annotations, split, first.fps)
    differing, problems = judged(given, tolerated)
    report: SplitReport = {
        "found": annotations.found(block.annotations, split),
        "samples": len(samples),
        "skipped": source.skips.to_dict(),
        "differing": differing,
        "lacking": sorted(source.lacking),
    }
    return samples, report, problems


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
