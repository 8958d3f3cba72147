"""What can be learned from footage of one's own, in one table: tasks, classes, segments of each class, splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from egopack.ego4d.layout import FEATURE_SUFFIXES, RENDERED, TEST, feature_dir, told_of_rendered
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.files import printable
from egopack.footage.annotations import FAMILIES
from egopack.footage.sources import EGO4D, read_timelines
from egopack.footage.splits import assign
from egopack.footage.timelines import NAMES, Timelines, class_sets
from egopack.params import DataParams

TASKS = {"actions": "AR, LTA", "windows": "OSCC, PNR", "moments": "MQ", "verbs": "MQ of verbs", "nouns": "MQ of nouns"}
FEW = 5  # segments below which a class is named
SHOWN = 8


def overview(data: DataParams, root: Path, kept: Mapping[str, str]) -> str:
    """The table as text, nothing for Ego4D or where the files cannot be read. Of the classes those are named that fewer
    than FEW segments of the training split have. `kept` are splits that were drawn before.
    """
    if data.source == EGO4D:
        return ""
    try:
        timelines = read_timelines(data, root)
    except UserError:
        return ""  # which who asks for annotations is told
    splits = assign(timelines.videos, kept, data.split, Skips())
    of_row = timelines.segments["video"].map(splits)
    lines = [["annotations", "tasks", "columns", "train", "val", "test"]]
    for family, columns in FAMILIES.items():
        there = [column for column in columns if timelines.has(column)]
        if there:
            chosen = timelines.segments[there].notna().any(axis=1)
            counts = [str(int((chosen & (of_row == split)).sum())) for split in ("train", "val")]
            lines.append([family, _tasks(family, there), ", ".join(there), *counts, str(int((of_row == TEST).sum()))])
        else:
            lines.append([family, "none: no such column", ", ".join(columns), "", "", ""])
    videos = Counter(splits.values())
    lines.append(["videos", "", "", *(str(videos[split]) for split in ("train", "val", TEST))])
    wide = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    text = "\n" + "".join("  ".join(map(str.ljust, line, wide)).rstrip() + "\n" for line in lines)
    for name in data.features:
        text += _without_labels(name, feature_dir(root, name), timelines)
    made = [name for name in data.features if (feature_dir(root, name) / RENDERED).exists()]
    if made:
        text += told_of_rendered(made) + "\n"
    for column, name in NAMES.items():
        if timelines.has(column):
            text += _classes(timelines, column, name, splits)
    return text


def _without_labels(name: str, folder: Path, timelines: Timelines) -> str:
    """A line that counts videos whose features are there and that the annotations do not name."""
    files = {path.stem for path in folder.iterdir() if path.suffix in FEATURE_SUFFIXES} if folder.is_dir() else set()
    others = sorted(map(printable, files - set(timelines.videos.index)))
    if not others:
        return ""
    shown = ", ".join(others[:SHOWN]) + (", ..." if len(others) > SHOWN else "")
    return f"{len(others)} videos have features of {name}, but no labels: {shown}\n"


def _tasks(family: str, columns: list[str]) -> str:
    if family == "windows":
        return ", ".join({"state_change": "OSCC", "pnr": "PNR"}[column] for column in columns)
    return TASKS[family]


def _classes(timelines: Timelines, column: str, name: str, splits: Mapping[str, str]) -> str:
    """How many classes of a set occur in training and validation, and those with few segments to learn from."""
    classes = class_sets(timelines, splits)[name]
    of_row = timelines.segments["video"].map(splits)
    count = {split: Counter(timelines.segments.loc[of_row == split, column].dropna()) for split in ("train", "val")}
    occur = [sum(label in count[split] for label in classes) for split in count]
    few = [f"{label} ({count['train'][label]})" for label in classes if count["train"][label] < FEW]
    text = f"{len(classes)} {name}, {occur[0]} of them in train, {occur[1]} in val\n"
    if few:
        more = f", ... {len(few) - SHOWN} more" if len(few) > SHOWN else ""
        text += f"    {len(few)} with fewer than {FEW} segments in train: {', '.join(few[:SHOWN])}{more}\n"
    new = sorted(label for label in count["val"] if label not in set(classes))
    if new:
        text += f"    {len(new)} in val alone: {', '.join(new[:SHOWN])}{', ...' if len(new) > SHOWN else ''}\n"
    return text
