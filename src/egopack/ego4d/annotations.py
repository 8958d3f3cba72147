"""The annotations under one raw root, by split, as records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from egopack.ego4d import layout
from egopack.ego4d.agreement import Twice
from egopack.ego4d.skips import Skipped, Skips
from egopack.ego4d.sources.fho_lta import FHO_LTA, Action, Taxonomy, read_taxonomy
from egopack.ego4d.sources.fho_oscc_pnr import FHO_OSCC_PNR, Window
from egopack.ego4d.sources.moments import MOMENTS, MomentsClip, read_moment_labels
from egopack.ego4d.sources.scenarios import read_scenarios
from egopack.ego4d.sources.source import Record, Source
from egopack.ego4d.sources.table import SOURCES
from egopack.ego4d.sources.videos import VIDEOS, Footage, read_footage

T = TypeVar("T")


@dataclass(frozen=True)
class Annotations:
    """Reads what tasks ask for, each file once; every reader counts what it skips."""

    root: Path
    version: str
    _read: dict[tuple[str, str], tuple[list[Any], Skipped]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, source: str) -> Annotations:
        """The annotations as a task sees them whose block names `source`."""
        return self

    def records(self, source: Source[Record], split: str, skips: Skips) -> list[Record]:
        """The records of a source's file of a split, in file order."""
        assert source.read is not None, "a source of records has a reader"
        if (source.name, split) not in self._read:
            skipped, path = Skips(), layout.annotation_file(self.root, self.version, source.name, split)
            self._read[source.name, split] = (source.read(self, path, skipped), skipped.to_dict())
        records, counted = self._read[source.name, split]
        skips.merge(counted)
        return list(records)

    def found(self, source: str, split: str) -> dict[str, int]:
        """How many items of each kind a source's file lists, usable or not; {} for a source that is not known."""
        return SOURCES[source].found(self, split) if source in SOURCES else {}

    def twice(self, source: str, split: str, fps: float) -> list[Twice]:
        """What a source's file gives twice, with `fps` frames a second; [] for a source that is not known."""
        return SOURCES[source].twice(self, split, fps) if source in SOURCES else []

    @cached_property
    def _footage(self) -> dict[str, Footage]:
        path = layout.annotation_dir(self.root, self.version) / VIDEOS
        return read_footage(path) if path.exists() else {}

    def footage(self) -> dict[str, Footage]:
        """What ego4d.json says of every video; {} where there is no such file."""
        return self._footage

    @cached_property
    def _taxonomy(self) -> Taxonomy:
        return read_taxonomy(layout.taxonomy_file(self.root, self.version))

    def taxonomy(self) -> Taxonomy:
        return self._taxonomy

    @cached_property
    def _moment_labels(self) -> tuple[str, ...]:
        return read_moment_labels(self.root, self.version)

    def moment_labels(self) -> tuple[str, ...]:
        return self._moment_labels

    @cached_property
    def _scenarios(self) -> dict[str, tuple[str, ...]]:
        return read_scenarios(layout.annotation_dir(self.root, self.version) / VIDEOS)

    def scenarios(self) -> dict[str, tuple[str, ...]]:
        """The scenarios of every video."""
        return self._scenarios

    def actions(self, split: str, skips: Skips) -> list[Action]:
        """LTA actions, in file order."""
        return self.records(FHO_LTA, split, skips)

    def actions_by_clip(self, split: str, skips: Skips) -> dict[str, list[Action]]:
        """Actions of each LTA clip, in file order.

        A clip lies where most of its rows say, the first of them if as many say otherwise. Skipped: a row that repeats
        another. Counted: one that places its clip elsewhere, which is not timed.
        """
        clips: dict[str, list[Action]] = {}
        seen: set[Action] = set()
        for action in self.actions(split, skips):
            if action in seen:
                skips.add("action listed twice", _name(action))
            else:
                clips.setdefault(action.clip_uid, []).append(action)
            seen.add(action)
        return {uid: _in_one_place(actions, skips) for uid, actions in clips.items()}

    def windows(self, split: str, skips: Skips) -> list[Window]:
        """OSCC and PNR windows, in file order; skipped: one whose id another has."""
        windows: dict[str, Window] = {}
        for window in self.records(FHO_OSCC_PNR, split, skips):
            if windows.setdefault(window.unique_id, window) is not window:
                skips.add("repeated id", window.unique_id)
        return list(windows.values())

    def windows_by_clip(self, split: str, skips: Skips) -> dict[str, list[Window]]:
        """Windows that share a clip_id, in file order.

        A clip lies in the video that most of its windows name. Skipped: a window of another; on the test split, where
        all have to be predicted, those are a clip of their own.
        """
        clips: dict[str, list[Window]] = {}
        for window in self.windows(split, skips):
            clips.setdefault(window.clip_id, []).append(window)
        kept: dict[str, list[Window]] = {}
        for clip_id, windows in clips.items():
            video = most_common(window.video_uid for window in windows)
            for window in windows:
                if window.video_uid == video:
                    kept.setdefault(clip_id, []).append(window)
                    continue
                skips.add("window that lies in another video than its clip", window.unique_id)
                if split == layout.TEST:
                    kept.setdefault(f"{clip_id} in {window.video_uid}", []).append(window)
        return kept

    def moments(self, split: str, skips: Skips) -> list[MomentsClip]:
        """Moments clips, in file order."""
        return self.records(MOMENTS, split, skips)


def _in_one_place(actions: list[Action], skips: Skips) -> list[Action]:
    """The actions of a clip, all of them where most of them say that it lies."""
    place = most_common(map(_place, actions))
    video_uid, clip_start, clip_end = place
    out = []
    for action in actions:
        if _place(action) != place:
            if action.timed:  # else it is counted already
                skips.add("action that lies elsewhere than its clip", _name(action))
            action = replace(action, video_uid=video_uid, clip_start=clip_start, clip_end=clip_end, timed=False)
        out.append(action)
    return out


def _place(action: Action) -> tuple[str, float, float]:
    return action.video_uid, action.clip_start, action.clip_end


def _name(action: Action) -> str:
    return f"{action.clip_uid}: action_idx {action.action_idx}"


def most_common(values: Iterable[T]) -> T:
    """What most of the values are, of several the first."""
    return Counter(values).most_common(1)[0][0]
