"""Timelines as the records that tasks ask for; every video is one clip, from its start to its end.

What is in seconds becomes frames of the features' grid, not whole ones, so the rate of a video does not matter.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from egopack.data.grid import Grid
from egopack.ego4d.agreement import Twice
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.layout import TEST
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.fho_lta import FHO_LTA, Action, Taxonomy
from egopack.ego4d.sources.fho_oscc_pnr import FHO_OSCC_PNR, Window
from egopack.ego4d.sources.moments import Moment, MomentsClip
from egopack.ego4d.sources.source import Record, Source
from egopack.ego4d.sources.videos import Footage
from egopack.errors import UserError
from egopack.footage.timelines import Timelines, place
from egopack.labels import UNLABELLED, Labels

# annotation source -> the columns of which it needs one
FAMILIES = {
    "actions": ("verb", "noun"),
    "windows": ("state_change", "pnr"),
    "moments": ("label",),
    "verbs": ("verb",),
    "nouns": ("noun",),
}
CUT = "segment that was cut at the end of its video"
AFTER = "segment after the end of its video"
UNKNOWN = "label that is none of the classes"
MISNAMED = "video without features, a like name has them"
PAST = 1e-3  # of a second: what times may differ by from a duration that was rounded


@dataclass(frozen=True, kw_only=True)
class OwnFootage(Annotations):
    """Timelines with their splits and classes, of videos that have `rows` rows of features on `grid`."""

    timelines: Timelines
    splits: Mapping[str, str]
    classes: Labels
    rows: Mapping[str, int]
    grid: Grid
    kind: str = ""
    skips: Skips = field(default_factory=Skips)  # of the split, counted with those of the timelines

    def of(self, source: str) -> OwnFootage:
        """The annotations as a task sees them whose block names `source`, one of FAMILIES; UserError where the columns
        for it are missing.
        """
        columns = FAMILIES.get(source, ())
        if not self.timelines.has(*columns):
            there = [name for name, wanted in FAMILIES.items() if self.timelines.has(*wanted)]
            lacks = f"has no column {' or '.join(columns)}" if columns else "is not of this form of data"
            raise UserError(
                f"{self.timelines.file}: annotations: {source!r} {lacks}; there is enough for {', '.join(there)}"
            )
        return replace(self, kind=source)

    def records(self, source: Source[Record], split: str, skips: Skips) -> list[Record]:
        skips.merge(self.timelines.skips.to_dict())
        skips.merge(self.skips.to_dict())
        table = self._table(split)
        self._name_misnamed(table, skips)
        make: Callable[..., list[Any]] = self._moments
        if source.name in (FHO_LTA.name, FHO_OSCC_PNR.name):
            make = self._actions if source.name == FHO_LTA.name else self._windows
        return make(table, split, skips)

    def found(self, source: str, split: str) -> dict[str, int]:
        if not self.timelines.has(*FAMILIES.get(source, ())):
            return {}
        table = self.of(source)._table(split)
        return {"videos": int(table["video"].nunique()), "segments": len(table)}

    def taxonomy(self) -> Taxonomy:
        return Taxonomy(self.classes.get("verbs", ()) or ("none",), self.classes.get("nouns", ()) or ("none",))

    def moment_labels(self) -> tuple[str, ...]:
        return self.classes[self.kind]

    def scenarios(self) -> dict[str, tuple[str, ...]]:
        return {}

    def twice(self, source: str, split: str, fps: float) -> list[Twice]:
        return []

    def footage(self) -> dict[str, Footage]:
        return {}

    # --- tables
    def _table(self, split: str) -> pd.DataFrame:
        """The segments of a split and of this kind, video by video in order of start; on the test split all of them."""
        table = self.timelines.segments
        columns = [column for column in FAMILIES[self.kind] if column in table]
        chosen = table["video"].map(self.splits) == split
        if split != TEST:
            chosen &= table[columns].notna().any(axis=1)
        return table[chosen].sort_values(["video", "start", "end"], kind="stable").reset_index(drop=True)

    @cached_property
    def _durations(self) -> dict[str, float]:
        """Seconds that each video lasts: as its source says, else as its features do, else to its last segment."""
        own, last = self.timelines.videos["duration"], self.timelines.segments.groupby("video")["end"].max()
        known = {str(video): float(end) for video, end in last.items()}
        known |= {video: count * self.grid.stride / self.grid.fps for video, count in self.rows.items()}
        return known | {str(video): float(seconds) for video, seconds in own.items() if seconds == seconds}

    def _frames(self, seconds: float) -> float:
        return seconds * self.grid.fps

    def _name_misnamed(self, table: pd.DataFrame, skips: Skips) -> None:
        """Count videos whose features have a name that is nearly theirs: a spreadsheet drops leading zeros."""
        without = [video for video in table["video"].unique() if video not in self.rows]
        spare = [name for name in self.rows if name not in self.splits] if without else []
        stripped = {name.lstrip("0").casefold(): name for name in reversed(spare)}
        for video in without:
            near = [stripped[video.lstrip("0").casefold()]] if video.lstrip("0").casefold() in stripped else []
            near = near or difflib.get_close_matches(video, spare, 1, 0.8)
            if near:
                skips.add(MISNAMED, f"{video}: is it {near[0]}?")

    def _within(self, table: pd.DataFrame, skips: Skips) -> tuple[np.ndarray, np.ndarray]:
        """Ends of segments within their videos, and which segments start there; what is cut or outside is counted."""
        duration = table["video"].map(self._durations).to_numpy(np.float64)
        start, end = table["start"].to_numpy(np.float64), table["end"].to_numpy(np.float64)
        inside, past = start < duration, end > duration + PAST
        end = np.where(past, duration, end)
        for reason, chosen in ((AFTER, ~inside), (CUT, past & inside)):
            for row in table.loc[chosen, "row"]:
                skips.add(reason, place(self.timelines.file, row))
        return end, inside

    def _ids(self, table: pd.DataFrame, column: str, split: str, skips: Skips) -> list[int | None]:
        """Class ids of a column: -1 where there is no label or an unknown one, which is counted; None on the test
        split.
        """
        if split == TEST or column not in table:
            return [None if split == TEST else UNLABELLED] * len(table)
        known = {name: i for i, name in enumerate(self.classes[f"{column}s"])}
        ids = table[column].map(known)
        for row, name in table.loc[ids.isna() & table[column].notna(), ["row", column]].itertuples(index=False):
            skips.add(UNKNOWN, f"{place(self.timelines.file, row)}, {column}: {name}")
        return [int(number) for number in ids.fillna(UNLABELLED)]

    # --- records
    def _actions(self, table: pd.DataFrame, split: str, skips: Skips) -> list[Action]:
        end, inside = self._within(table, skips)
        timed = inside | (split == TEST)
        place = table.groupby("video").cumcount()
        names = table["id"].fillna("") if "id" in table else [""] * len(table)
        columns = zip(
            table["video"],
            (table["start"] * self.grid.fps).tolist(),
            (end * self.grid.fps).tolist(),
            place.tolist(),
            self._ids(table, "verb", split, skips),
            self._ids(table, "noun", split, skips),
            timed.tolist(),
            names,
            strict=True,
        )
        last = {video: self._frames(seconds) for video, seconds in self._durations.items()}
        return [Action(video, video, 0, last[video], *rest) for video, *rest in columns]

    def _windows(self, table: pd.DataFrame, split: str, skips: Skips) -> list[Window]:
        end, inside = self._within(table, skips)
        table = table.assign(end=end)[inside]
        place, windows = table.groupby("video").cumcount(), []
        for number, row in zip(place, table.to_dict("records"), strict=True):
            pnr, change = row.get("pnr", np.nan), row.get("state_change")
            known = split != TEST and pnr == pnr
            windows.append(
                Window(
                    video_uid=row["video"],
                    clip_id=row["video"],
                    unique_id=row.get("id") or f"{row['video']}#{number}",
                    start=int(np.floor(self._frames(row["start"]))),
                    end=int(np.ceil(self._frames(row["end"]))),
                    state_change=None if split == TEST else True if change is None and known else change,
                    pnr=round(self._frames(pnr)) if known else None,
                )
            )
        return windows

    def _moments(self, table: pd.DataFrame, split: str, skips: Skips) -> list[MomentsClip]:
        """One clip of each video of the split, also of those without segments."""
        end, inside = self._within(table, skips)
        column = FAMILIES[self.kind][0]
        moments: dict[str, list[Moment]] = {video: [] for video, own in self.splits.items() if own == split}
        if split != TEST:
            rows = zip(table["video"], table[column], table["start"], end, inside, strict=True)
            for video, label, start, stop, kept in rows:
                if kept:
                    moments[video].append(Moment(label, self._frames(start), self._frames(stop), primary=True))
        clips = []
        for video, found in sorted(moments.items()):
            seconds = self._durations.get(video, 0.0)
            if seconds:
                last = self._frames(seconds)
                clips.append(MomentsClip(video, video, 0, last, 0.0, seconds, tuple(found), annotated=split != TEST))
        return clips
