"""What the data holds, counted: items found, samples, what is skipped and why; features found, missing and damaged.

One report, made in two ways: `check_data` reads the raw files, `collect` what the pipeline noted when it wrote shards
and samples.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any, TypedDict

from egopack.checksums import Checksums
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.features import DamagedFile, VideoFeatures, too_many_zeroed
from egopack.ego4d.layout import SPLITS, feature_files, feature_uids
from egopack.ego4d.manifest import differences
from egopack.ego4d.skips import Skipped, Skips
from egopack.errors import RefusedError, UserError
from egopack.files import read_json
from egopack.footage.sources import check_files, families, open_annotations
from egopack.footage.sources import manifests as fingerprints
from egopack.params import BudgetParams, DataParams, FeatureSet, TaskBlock
from egopack.preparation.disagreements import Problem, judged, of_sets
from egopack.preparation.index import SplitReport, index_split, nothing_usable, without_labels
from egopack.preparation.shards import ZEROED
from egopack.preparation.survey import (
    KINDS,
    TWO_FILES,
    FileReport,
    Video,
    ahead,
    check_widths,
    count_files,
    count_skips,
    survey,
)
from egopack.tasks.base import load_task

Features = Mapping[str, FeatureSet]
WORKERS = 8
SHOWN = 3  # examples of a reason in the table
MISSING = "video that the annotations name, without a feature file"


class StoredReport(TypedDict):
    """The videos whose rows can be stored, or were."""

    videos: int
    rows: int
    skipped: Skipped


class Report(TypedDict):
    """Feature files by set, what is stored of them, and what each split of each task holds."""

    features: dict[str, FileReport]
    stored: StoredReport
    tasks: dict[str, dict[str, SplitReport]]


def check_data(
    root: Path,
    data: DataParams,
    blocks: Mapping[str, TaskBlock],
    splits: Mapping[str, str],
    *,
    budgets: Mapping[str, BudgetParams] | None = None,
    storage: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Report, list[str]]:
    """Count what every task finds under `root`, and say what stands in the way of training, one line each.

    `splits` are those of videos that were drawn before, `budgets` of labels those of tasks that have one.
    Of the feature files the headers are read; with `storage` (float16, float32) all rows too, as for the shards.
    """
    problems: list[str] = []
    videos: list[Video] = []
    features = data.features
    try:
        check_files(data, root, _sources(data, blocks))
    except UserError as error:
        problems.append(str(error))
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            videos = survey(pool, root, features, feature_uids(root, features))
        except RefusedError:
            raise  # what a disk hides cannot be reported on
        except UserError as error:
            problems.append(str(error))
        rows, stored = _storable(pool, videos, features, storage, progress)
    report: Report = {"features": count_files(features, videos), "stored": stored, "tasks": {}}
    try:
        check_widths(features, videos)  # without a width that fits no task finds anything, which is told once
        annotations = open_annotations(data, root, rows, splits)
    except UserError as error:
        return report, list(dict.fromkeys([*problems, str(error)]))
    about_sets = _check_sets(features, videos, annotations, data.tolerate, problems)
    for name, block in blocks.items():
        budget = (budgets or {}).get(name)
        found, about = _check_task(name, block, annotations, rows, features, data.tolerate, budget, problems)
        report["tasks"][name] = found
        # that rows do not fit their videos is told once, of the set
        problems += [text for kind, text in about if not (about_sets and kind == "rows")]
    _name_missing(report, lambda name, uid: bool(feature_files(root, name, uid)))
    return report, list(dict.fromkeys(problems))


def check_content(
    root: Path,
    data: DataParams,
    blocks: Mapping[str, TaskBlock],
    manifests: Path,
    checksums: Checksums,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """One line for each source and feature set whose files are not those that <manifests>/<name>.json notes."""
    sources = _sources(data, blocks)
    files = {name: manifests / f"{name}.json" for name in [*sources, *(f"features/{name}" for name in data.features)]}
    noted = {name: read_json(path) for name, path in files.items() if path.exists()}
    if not noted:
        return [f"{manifests}: nothing is noted there to compare with; run python -m stages.fingerprint"]
    try:
        now = fingerprints(data, root, sources, {}, checksums, progress)
    except UserError as error:
        return [str(error)]
    return differences(noted, now)


def _sources(data: DataParams, blocks: Mapping[str, TaskBlock]) -> list[str]:
    """The sources of annotations that tasks name, as far as there are such."""
    return sorted({block.annotations for block in blocks.values()} & {*families(data)})


def collect(samples: Path, tasks: Iterable[str], shards: Path, manifests: Path, features: Iterable[str]) -> Report:
    """The report of what was stored and indexed: from <samples>/<task>/report.json, the metrics of the shards and the
    manifests <manifests>/<set>.json of the feature sets.
    """
    stored = read_json(shards)
    files = stored.pop("files")
    report: Report = {
        "features": {name: files[name] for name in features},
        "stored": stored,
        "tasks": {name: read_json(samples / name / "report.json") for name in tasks},
    }
    present = {name: {PurePath(file).stem for file in read_json(manifests / f"{name}.json")["files"]} for name in files}
    _name_missing(report, lambda name, uid: uid in present[name])
    return report


def numbers(report: Report) -> dict[str, Any]:
    """The counts of a report without the examples: numbers alone, which two runs can be compared by."""
    stored = report["stored"]
    return {
        "features": {
            name: {"found": counts["found"]} | {kind: _total(counts[kind]) for kind in KINDS}
            for name, counts in report["features"].items()
        },
        "stored": {"videos": stored["videos"], "rows": stored["rows"], "skipped": _counts(stored["skipped"])},
        "tasks": {
            task: {
                split: {
                    "found": part["found"],
                    "samples": part["samples"],
                    "labels": part["labels"],
                    "skipped": _counts(part["skipped"]),
                    "differing": _counts(part["differing"]),
                }
                for split, part in splits.items()
            }
            for task, splits in report["tasks"].items()
        },
    }


def _counts(skipped: Skipped) -> dict[str, int]:
    return {reason: entry["count"] for reason, entry in skipped.items()}


def _storable(
    pool: ThreadPoolExecutor,
    videos: Sequence[Video],
    features: Features,
    storage: str | None,
    progress: Callable[[int, int], None],
) -> tuple[dict[str, int], StoredReport]:
    """Rows of every video that can be stored, and the counts of them."""
    skips = Skips()
    count_skips(videos, skips)
    rows = {video.uid: video.length for video in videos if not video.problem}
    if storage is not None:
        usable = [video for video in videos if not video.problem]
        read = ahead(pool, lambda video: _read_rows(video, features, storage), usable, WORKERS)
        for done, (video, (reason, item)) in enumerate(zip(usable, read, strict=True), start=1):
            progress(done, len(usable))
            if reason:
                skips.add(reason, item)
            if reason not in ("", ZEROED):
                del rows[video.uid]
    return rows, {"videos": len(rows), "rows": sum(rows.values()), "skipped": skips.to_dict()}


def _read_rows(video: Video, features: Features, storage: str) -> tuple[str, str]:
    """What is wrong with the rows of a video: a reason and an item, or two empty texts."""
    try:
        opened = VideoFeatures(video.files, list(features.values()))
        bad = sum(zeroed for _, _, zeroed in opened.blocks(0, len(opened), storage))
    except DamagedFile as error:
        return str(error), video.uid
    reason = too_many_zeroed(len(opened), bad)
    if reason:
        return reason, video.uid
    return (ZEROED, f"{video.uid}: {bad} rows") if bad else ("", "")


def _check_sets(
    features: Features,
    videos: Sequence[Video],
    annotations: Annotations,
    tolerated: Collection[str],
    problems: list[str],
) -> bool:
    """Whether feature sets as a whole do not fit their videos; if so, that is among the problems."""
    try:
        footage = annotations.footage()
    except UserError as error:
        problems.append(str(error))
        footage = {}
    _, about = judged(of_sets(features, videos, footage), tolerated)
    problems += [text for _, text in about]
    return bool(about)


def _check_task(
    name: str,
    block: TaskBlock,
    annotations: Annotations,
    rows: Mapping[str, int],
    features: Features,
    tolerated: Collection[str],
    budget: BudgetParams | None,
    problems: list[str],
) -> tuple[dict[str, SplitReport], list[Problem]]:
    """The report of a task, split by split, and in what its files contradict themselves; a file that cannot be trusted
    is a problem and counts as empty.
    """
    report: dict[str, SplitReport] = {}
    about: list[Problem] = []
    task = load_task(name)
    for split in SPLITS:
        try:
            _, report[split], wrong = index_split(task, block, annotations, rows, features, split, tolerated, budget)
        except UserError as error:
            problems.append(str(error))
            report[split] = {"found": {}, "samples": 0, "labels": {}, "skipped": {}, "differing": {}, "lacking": []}
        else:
            about += wrong
            lacking = nothing_usable(name, block, split, report)
            problems += [lacking] if lacking else []
    return report, about


def _name_missing(report: Report, has: Callable[[str, str], bool]) -> None:
    """Count, for each feature set, the videos that tasks ask for and that it lacks: `has(set, video uid)`."""
    asked = {uid for splits in report["tasks"].values() for part in splits.values() for uid in part["lacking"]}
    for name, counts in report["features"].items():
        skips = Skips()
        for uid in sorted(asked):
            if not has(name, uid):
                skips.add(MISSING, uid)
        counts["missing"] = skips.to_dict()


# --- the table


def table(report: Report) -> str:
    """The report as text: a line for each feature set, task and split, and one for each reason with examples."""
    lines: list[tuple[list[str], Iterable[str]]] = [(["features", "files", *KINDS], ())]
    for name, counts in report["features"].items():
        reasons = [line for kind in KINDS for line in _reasons(counts[kind])]
        lines.append(([name, f"{counts['found']:,}", *(f"{_total(counts[kind]):,}" for kind in KINDS)], reasons))
    stored = report["stored"]
    of_videos = {reason: entry for reason, entry in stored["skipped"].items() if "NaN" in reason or reason == TWO_FILES}
    lines.append(([f"{stored['videos']:,} videos can be used, {stored['rows']:,} rows"], _reasons(of_videos)))
    lines += [([], ()), (["task", "split", "samples", "skipped", "found in"], ())]
    for task, splits in report["tasks"].items():
        for split, part in splits.items():
            found = (
                ", ".join(f"{count:,} {what}" for what, count in part["found"].items()) or "nothing that can be read"
            )
            cells = [task, split, f"{part['samples']:,}", f"{_total(part['skipped']):,}", found]
            unlabelled = [f"no label for {kind}" for kind in without_labels(part)]
            differing = _reasons(part["differing"], "; ", "differ: ")
            lines.append((cells, [*unlabelled, *_reasons(part["skipped"]), *differing]))
    wide = [max(len(cells[k]) for cells, _ in lines if k + 1 < len(cells)) for k in range(4)]
    text = ""
    for cells, notes in lines:
        padded = [cell.ljust(wide[k]) if k + 1 < len(cells) else cell for k, cell in enumerate(cells)]
        text += "  ".join(padded) + "\n" + "".join(f"    {note}\n" for note in notes)
    return text


def _total(skipped: Skipped) -> int:
    return sum(_counts(skipped).values())


def _reasons(skipped: Skipped, between: str = ", ", prefix: str = "") -> Iterable[str]:
    for reason, entry in skipped.items():
        more = f"{between}..." if entry["count"] > SHOWN else ""
        yield f"{entry['count']:,} {prefix}{reason}: {between.join(entry['examples'][:SHOWN])}{more}"
