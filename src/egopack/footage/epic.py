"""EPIC-KITCHENS-100's annotations as they are downloaded, in the root or in its folder `annotations`.

EPIC_100_train.csv (else the part of it that EPIC_100_uda_source_train.csv is), EPIC_100_validation.csv,
EPIC_100_video_info.csv, EPIC_100_{verb,noun}_classes.csv; for submissions EPIC_100_test_timestamps.csv. Of several
nouns the first counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from egopack.errors import UserError
from egopack.footage import cells
from egopack.footage.table import read_columns
from egopack.footage.timelines import Timelines, judged

TRAIN, PART_OF_TRAIN = "EPIC_100_train.csv", "EPIC_100_uda_source_train.csv"
VALIDATION, TEST = "EPIC_100_validation.csv", "EPIC_100_test_timestamps.csv"
WHENCE = "fetch them from https://github.com/epic-kitchens/epic-kitchens-100-annotations"
TAIL = {"verb": "EPIC_100_tail_verbs.csv", "noun": "EPIC_100_tail_nouns.csv"}
UNSEEN = "EPIC_100_unseen_participant_ids_validation.csv"
INFO, VERBS, NOUNS = "EPIC_100_video_info.csv", "EPIC_100_verb_classes.csv", "EPIC_100_noun_classes.csv"
SEGMENTS = (
    "narration_id",
    "participant_id",
    "video_id",
    "start_timestamp",
    "stop_timestamp",
    "verb_class",
    "noun_class",
)


def epic_folder(root: Path) -> Path:
    """Where the annotations are."""
    return root / "annotations" if (root / "annotations" / VALIDATION).exists() else root


def epic_files(root: Path) -> tuple[list[Path], list[Path]]:
    """The files that are needed, and those that are read if they are there."""
    folder = epic_folder(root)
    part = not (folder / TRAIN).exists() and (folder / PART_OF_TRAIN).exists()
    needed = [PART_OF_TRAIN if part else TRAIN, VALIDATION, INFO, VERBS, NOUNS]
    return [folder / name for name in needed], [folder / TEST]


def scored_by(root: Path) -> list[Path]:
    """The files that no sample is made of, and that scores of the validation split need."""
    return [epic_folder(root) / name for name in (*TAIL.values(), UNSEEN)]


def read_epic(root: Path) -> Timelines:
    """The timelines of all splits; UserError for a file that is missing or of another shape."""
    (train, validation, info, *named), (test,) = epic_files(root)
    classes = {name: read_class_names(path) for name, path in zip(("verbs", "nouns"), named, strict=True)}
    parts = [_segments(train, "train", classes), _segments(validation, "val", classes)]
    if test.exists():
        parts.append(_segments(test, "test_unannotated", classes))
    segments = pd.concat([part for part, _ in parts], ignore_index=True)
    groups = {video: person for _, people in parts for video, person in people.items()}
    videos = _videos(info)
    videos = videos[videos.index.isin(segments["video"])].assign(group=lambda table: table.index.map(groups))
    return judged(Timelines(validation, segments, videos, classes))


def _segments(path: Path, split: str, classes: dict[str, tuple[str, ...]]) -> tuple[pd.DataFrame, dict[str, str]]:
    table = read_columns(path, SEGMENTS)
    for name in SEGMENTS[: 5 if split.startswith("test") else None]:
        if name not in table:
            raise UserError(f"{path}: row 1: no column {name!r}; download the file again")
    rows = [f"{path.name}: row {row}" for row in table["row"]]
    found = pd.DataFrame({"row": rows, "video": cells.video_names(path, table["row"], table["video_id"], "video_id")})
    for edge, column in (("start", "start_timestamp"), ("end", "stop_timestamp")):
        found[edge] = cells.needed(path, table, column, cells.seconds(path, table, column))
    for column, names in zip(("verb", "noun"), classes.values(), strict=True):
        known = dict(zip(map(str, range(len(names))), names, strict=True))
        key = f"{column}_class"
        found[column] = cells.named(path, table, key, known, f"an id below {len(names)}") if key in table else None
    found = found.assign(split=split, id=cells.labels(path, table, "narration_id"))
    return found, dict(zip(found["video"], table["participant_id"], strict=True))


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names of EPIC_100_{verb,noun}_classes.csv, in the order of their ids."""
    table = read_columns(path, ("id", "key"))
    for name in ("id", "key"):
        if name not in table:
            raise UserError(f"{path}: row 1: no column {name!r}; download the file again")
    names = dict(zip(table["id"], table["key"], strict=True))
    wanted = [str(number) for number in range(len(table))]
    if sorted(names) != sorted(wanted) or len(set(names.values())) < len(names):
        raise UserError(f"{path}: ids are not 0 ... {len(table) - 1}, each with its name; download the file again")
    return tuple(names[number] for number in wanted)


def read_ids(path: Path, column: str) -> list[str]:
    """One column of an official file, which lists classes or people, as texts."""
    table = read_columns(path, (column,))
    return table[column].to_list()


@dataclass(frozen=True)
class Asked:
    """What the challenges ask for: the segments of one file as they stand there, whatever becomes of them as samples.

    segments: `id`, `video`, `participant`, `start`, `end` (seconds), and on the validation split ids of `verb`, `noun`
    tail: classes of each part that are counted apart;  unseen: people that training never saw
    """

    file: Path
    segments: pd.DataFrame
    tail: dict[str, list[int]]
    unseen: list[str]


def read_asked(root: Path, split: str) -> Asked:
    """What is asked of the split `val` or `test_unannotated`; UserError for a file that is missing or of another
    shape.
    """
    folder, test = epic_folder(root), split != "val"
    path = folder / (TEST if test else VALIDATION)
    missing = [file.name for file in [path, *([] if test else scored_by(root))] if not file.exists()]
    if missing:
        raise UserError(f"{folder}: missing {', '.join(missing)}; {WHENCE}")
    sizes = {"verb": len(read_class_names(folder / VERBS)), "noun": len(read_class_names(folder / NOUNS))}
    wanted = {part: {str(label): label for label in range(size)} for part, size in sizes.items()}
    found, people = _segments(path, split, {part: tuple(known) for part, known in wanted.items()})
    found = found.assign(participant=found["video"].map(people))
    if test:
        return Asked(path, found, {}, [])
    for part, known in wanted.items():
        found[part] = found[part].map(known).astype(int)
    tail = {part: [int(label) for label in read_ids(folder / name, part)] for part, name in TAIL.items()}
    return Asked(path, found, tail, read_ids(folder / UNSEEN, "participant_id"))


def _videos(path: Path) -> pd.DataFrame:
    table = read_columns(path, ("video_id", "duration", "fps"))
    for name in ("video_id", "duration", "fps"):
        if name not in table:
            raise UserError(f"{path}: row 1: no column {name!r}; download the file again")
    found = pd.DataFrame({"video": cells.video_names(path, table["row"], table["video_id"], "video_id")})
    for column in ("duration", "fps"):
        found[column] = cells.needed(path, table, column, cells.seconds(path, table, column))
    return found.assign(split=None, group=None).drop_duplicates("video").set_index("video")
