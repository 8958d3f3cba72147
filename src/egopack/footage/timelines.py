"""What every source of footage becomes: segments with their labels, and their videos, judged as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.labels import Labels

TEXTS = ("verb", "noun", "label")
COLUMNS = ("row", "video", "start", "end", *TEXTS, "state_change", "pnr", "split", "id")
NAMES = {"verb": "verbs", "noun": "nouns", "label": "moments"}  # column -> its set of classes
ALIKE = "labels that differ by case or spaces alone"


@dataclass(frozen=True)
class Timelines:
    """Segments of many videos.

    segments: one row a segment: `row` (where it stands in its file), `video`, `start`, `end` (seconds), and of `verb`,
    `noun`, `label` (names, None for none), `state_change` (True, False, None), `pnr` (seconds, NaN for none), `split`
    and `id` those that the source has
    videos: by their names: `duration` (seconds, NaN where unknown), `fps`, `split` (None where unknown) and `group`
    classes: those of the sets that the source itself lists, in order of their ids; of others the training split's
    sorted names are the classes
    """

    file: Path
    segments: pd.DataFrame
    videos: pd.DataFrame
    classes: Labels = field(default_factory=dict)
    skips: Skips = field(default_factory=Skips)

    def has(self, *columns: str) -> bool:
        """Whether the source has any of the columns."""
        return any(column in self.segments for column in columns)


def place(file: Path, row: object) -> str:
    """Where a segment stands: `row` is a number, or says itself where in the files."""
    return f"{file.name}: row {row}" if isinstance(row, int) else str(row)


def judged(timelines: Timelines) -> Timelines:
    """The timelines without segments that nothing can be made of; each is counted.

    Raises UserError where a video has two splits.
    """
    segments, skips = timelines.segments, timelines.skips
    backwards = segments["end"] <= segments["start"]
    before = (segments["end"] <= 0) & ~backwards
    compared = [column for column in segments.columns if column != "row"]
    twice = segments.duplicated(compared) & ~backwards & ~before
    reasons = {
        "segment that ends before it starts": backwards,
        "segment before the start of its video": before,
        "segment listed twice": twice,
    }
    for reason, chosen in reasons.items():
        for row in segments.loc[chosen, "row"]:
            skips.add(reason, place(timelines.file, row))
    kept = segments[~(backwards | before | twice)].reset_index(drop=True)
    kept = kept.assign(start=kept["start"].clip(lower=0.0))
    for column in TEXTS:
        if column in kept:
            for one, other in alike(kept[column].dropna().drop_duplicates()):
                skips.add(ALIKE, f"{column} {one!r} and {other!r}")
    return Timelines(timelines.file, kept, _with_splits(timelines, kept), timelines.classes, skips)


def alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ by case or spaces alone."""
    first: dict[str, str] = {}
    pairs = []
    for name in sorted(names):
        other = first.setdefault("".join(name.split()).casefold(), name)
        if other != name:
            pairs.append((other, name))
    return pairs


def _with_splits(timelines: Timelines, segments: pd.DataFrame) -> pd.DataFrame:
    """The videos, also those that only segments name, with the splits that segments give."""
    videos = timelines.videos.reindex(
        [*timelines.videos.index, *sorted(set(segments["video"].unique()) - set(timelines.videos.index))]
    )
    known = dict(videos["split"].dropna())
    given = segments[["row", "video", "split"]] if "split" in segments else segments.iloc[:0].assign(split=None)
    given = given.loc[given["split"].notna(), ["row", "video", "split"]].drop_duplicates(["video", "split"])
    for row, video, split in given.itertuples(index=False):
        if known.setdefault(video, split) != split:
            raise UserError(
                f"{timelines.file}: row {row}, split: {split!r}, but video {video!r} is in {known[video]!r} elsewhere; "
                "all segments of a video are of one split"
            )
    return videos.assign(split=pd.Series(known, dtype=object).reindex(videos.index))


def class_sets(timelines: Timelines, splits: Mapping[str, str]) -> Labels:
    """The classes of every set that the source has labels for."""
    found: Labels = dict(timelines.classes)
    training = timelines.segments["video"].map(splits) == "train"
    for column, name in NAMES.items():
        if column in timelines.segments and name not in found:
            found[name] = tuple(sorted(timelines.segments.loc[training, column].dropna().unique()))
    return found
