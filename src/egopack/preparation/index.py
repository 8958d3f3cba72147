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
from egopack.params import BudgetParams, FeatureSet, TaskBlock
from egopack.preparation.budget import from_sites, within
from egopack.preparation.disagreements import Problem, judged, of_videos
from egopack.tasks.base import SampleSource, Task

TRAIN = SPLITS[0]
NEEDED = ("train", "val")  # a challenge's test split may be absent from a user's plans; these may not be empty


class SplitReport(TypedDict):
    """What a split of a task holds."""

    found: dict[str, int]  # what its annotation file lists
    samples: int
    labels: dict[str, int]  # how many the samples have, of each kind
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
    budget: BudgetParams | None = None,
) -> dict[str, SplitReport]:
    """Write <folder>/<split>.h5, labels.json and report.json; return the report.

    `rows` is how many feature rows each video has, on the grid of the first of the feature sets; a `budget` says on
    which of the training videos the task has labels.

    Raises:
        UserError: an annotation file cannot be trusted, a split that training needs has no sample or no label, or files
            contradict themselves as a whole, in something that is not `tolerated`; then all is written, to look into.
    """
    report: dict[str, SplitReport] = {}
    found: dict[str, list[Sample]] = {}
    problems: list[Problem] = []
    for split in SPLITS:
        found[split], report[split], wrong = index_split(
            task, block, annotations, rows, features, split, tolerated, budget
        )
        problems += wrong
        lacking = nothing_usable(name, block, split, report)
        if lacking:
            raise UserError("; ".join([lacking, *(text for _, text in wrong)]))
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
    budget: BudgetParams | None = None,
) -> tuple[list[Sample], SplitReport, list[Problem]]:
    """The samples of a split, its part of the report, and what the files as a whole contradict themselves in."""
    name, first = next(iter(features.items()))
    source = SampleSource(annotations.of(block.annotations), rows, Grid(first.stride, first.fps), Skips())
    samples = distinct(task.samples(source, split, block), source.skips)
    if budget is not None and split in NEEDED:
        samples = from_sites(samples, budget, annotations.footage(), source.skips)
        samples = within(samples, budget, source.skips) if split == TRAIN else samples
    given = of_videos(name, first, rows, annotations.footage(), sorted(source.asked))
    given += annotations.twice(block.annotations, split, first.fps)
    differing, problems = judged(given, tolerated)
    report: SplitReport = {
        "found": annotations.found(block.annotations, split),
        "samples": len(samples),
        "labels": count_labels(samples),
        "skipped": source.skips.to_dict(),
        "differing": differing,
        "lacking": sorted(source.lacking),
    }
    return samples, report, problems


def count_labels(samples: Sequence[Sample]) -> dict[str, int]:
    """How many labels the samples have, by the names of those targets that are ids of classes."""
    kinds = [kind for kind, value in samples[0].targets.items() if value.dtype.kind == "i"] if samples else []
    return {kind: sum(int((sample.targets[kind] >= 0).sum()) for sample in samples) for kind in kinds}


def nothing_usable(name: str, block: TaskBlock, split: str, report: Mapping[str, SplitReport]) -> str:
    """What to say of a split that training needs, and that has no sample, or none with a label; empty if it has."""
    if split not in NEEDED:
        return ""
    found, place = report[split], f"split {split!r} of {block.annotations}"
    if not found["samples"]:
        reasons = ", ".join(f"{entry['count']} {reason}" for reason, entry in found["skipped"].items())
        return f"tasks.{name}: no usable sample in {place} ({reasons or 'the file lists none'})"
    kinds, advice = found["labels"], f"fetch the annotations again, or take {name} out of params.yaml"
    if kinds and not any(kinds.values()):
        return f"tasks.{name}: no label in {place}, in none of its {found['samples']} samples; {advice}"
    before = report.get(NEEDED[0], found)["labels"]
    if kinds and before and not any(kinds[kind] and before.get(kind) for kind in kinds):
        trained = ", ".join(kind for kind, count in before.items() if count)
        return f"tasks.{name}: {place} has no label for {trained}, and {NEEDED[0]!r} for nothing else; {advice}"
    return ""


def without_labels(report: SplitReport) -> list[str]:
    """The kinds of labels that no sample of a split has, where others are there."""
    kinds = report["labels"]
    return [kind for kind, count in kinds.items() if not count] if any(kinds.values()) else []


def distinct(samples: Sequence[Sample], skips: Skips) -> list[Sample]:
    """The first sample of each key; the others are counted as skipped."""
    kept: dict[str, Sample] = {}
    for sample in samples:
        if kept.setdefault(sample.key, sample) is not sample:
            skips.add("repeated id", sample.key)
    return list(kept.values())
