"""Which files `data.source` reads, and their annotations.

What reads tables, with pandas, is imported where a source needs it: Ego4D, asked of in every run, does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egopack.checksums import Checksums
from egopack.data.grid import Grid
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.manifest import check_whole, feature_manifests, file_entry, fingerprint
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.table import SOURCES
from egopack.errors import UserError
from egopack.params import DataParams

if TYPE_CHECKING:
    from egopack.footage.timelines import Timelines

EGO4D = "ego4d"


def open_annotations(data: DataParams, root: Path, rows: Mapping[str, int], splits: Mapping[str, str]) -> Annotations:
    """The annotations under `root`, of videos that have so many `rows` of features; `splits` are those that were drawn
    before.
    """
    if data.source == EGO4D:
        return Annotations(root, data.version)
    from egopack.footage.annotations import OwnFootage
    from egopack.footage.splits import assign
    from egopack.footage.timelines import class_sets

    first = next(iter(data.features.values()))
    timelines, skips = read_timelines(data, root), Skips()
    own = assign(timelines.videos, splits, data.split, skips)
    return OwnFootage(
        root,
        data.source,
        timelines=timelines,
        splits=own,
        classes=class_sets(timelines, own),
        rows=rows,
        grid=Grid(first.stride, first.fps),
        skips=skips,
    )


def read_timelines(data: DataParams, root: Path) -> Timelines:
    """The timelines of any source but Ego4D."""
    from egopack.footage.activitynet import read_activitynet
    from egopack.footage.epic import read_epic
    from egopack.footage.table import read_table

    if data.source == "epic":
        return read_epic(root)
    path = _segments_file(data, root)
    return read_table(path) if data.source == "table" else read_activitynet(path)


def families(data: DataParams) -> list[str]:
    """What `annotations` of a task's block can be."""
    if data.source == EGO4D:
        return list(SOURCES)
    from egopack.footage.annotations import FAMILIES

    return list(FAMILIES)


def named_sources(data: DataParams, tasks: Mapping[str, str], file: Path) -> list[str]:
    """The sources that tasks name, sorted; UserError for one that there is not."""
    known = families(data)
    for task, source in tasks.items():
        if source not in known:
            raise UserError(f"{file}: tasks.{task}.annotations: {source!r} is not one of {', '.join(known)}")
    return sorted(set(tasks.values()))


def annotation_files(data: DataParams, root: Path) -> tuple[list[Path], list[Path]]:
    """The files that any source but Ego4D needs, and those that it reads if they are there."""
    from egopack.footage.epic import epic_files
    from egopack.footage.table import LABELS, VIDEOS

    if data.source == "epic":
        return epic_files(root)
    return [_segments_file(data, root)], [root / LABELS, *([root / VIDEOS] if data.source == "table" else [])]


def scored_by(data: DataParams, root: Path) -> list[Path]:
    """Files that no sample is made of, and that scores need; those that are there."""
    from egopack.footage.epic import scored_by

    return [path for path in scored_by(root) if path.exists()] if data.source == "epic" else []


def _segments_file(data: DataParams, root: Path) -> Path:
    from egopack.footage.table import LABELS, SUFFIXES

    if data.file:
        return root / data.file
    if data.source == "table":
        found = [path for path in (root / f"segments{suffix}" for suffix in SUFFIXES) if path.exists()]
        expected = f"segments{SUFFIXES[0]}"
    else:
        found = sorted(path for path in root.glob("*.json") if path.name != LABELS)
        expected = "annotations.json"
    if len(found) > 1:
        raise UserError(f"{root}: {', '.join(path.name for path in found)}; name one of them in data.file")
    return found[0] if found else root / expected


def drawn_splits(data: DataParams, root: Path, sources: Iterable[str], kept: Mapping[str, str]) -> dict[str, str]:
    """The split of every video that had to be drawn, with those `kept` of videos that are not there any more; nothing
    where the source says it.
    """
    if data.source == EGO4D:
        return {}
    from egopack.footage.splits import assign

    check_files(data, root, sources)
    videos = read_timelines(data, root).videos
    return {} if videos["split"].notna().any() else {**kept, **assign(videos, kept, data.split, Skips())}


def manifests(
    data: DataParams,
    root: Path,
    sources: Iterable[str],
    splits: Mapping[str, str],
    checksums: Checksums,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """What names the content of the raw data, as `egopack.ego4d.manifest.fingerprint`; UserError where a file is
    missing.
    """
    if data.source == EGO4D:
        return fingerprint(root, data.version, data.features, sources, checksums, progress)
    check_files(data, root, sources)
    needed, optional = annotation_files(data, root)
    files = {path.name: file_entry(path, checksums) for path in [*needed, *optional] if path.exists()}
    noted: dict[str, Any] = {"source": data.source, "files": files} | ({"split": dict(splits)} if splits else {})
    return dict.fromkeys(sources, noted) | feature_manifests(root, data.features, checksums, progress)


def check_files(data: DataParams, root: Path, sources: Iterable[str]) -> None:
    """UserError that lists what is missing of the annotations, or of Ego4D's features too."""
    if data.source == EGO4D:
        check_whole(root, data.version, data.features, sources)
        return
    missing = [str(path.relative_to(root)) for path in annotation_files(data, root)[0] if not path.exists()]
    if missing:
        from egopack.footage.epic import WHENCE

        whence = {"epic": WHENCE}
        there = whence.get(data.source, "src/egopack/footage/README.md tells what they look like")
        raise UserError(f"{root}: missing {', '.join(missing)}; {there}")
