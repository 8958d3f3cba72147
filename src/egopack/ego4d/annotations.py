"""The annotations under one raw root, by split, as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from egopack.ego4d import layout
from egopack.ego4d.records import (
    SPOILT_MOMENT,
    Action,
    MomentsClip,
    Taxonomy,
    Window,
    read_actions,
    read_moment_labels,
    read_moments,
    read_taxonomy,
    read_windows,
)
from egopack.ego4d.skips import Skips
from egopack.ego4d.videos import read_scenarios

Record = TypeVar("Record")
Skipped = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Annotations:
    """Reads what tasks ask for, each file once; every reader counts what it skips."""

    root: Path
    version: str
    _read: dict[tuple[str, str], tuple[list[Any], Skipped]] = field(default_factory=dict, repr=False, compare=False)

    def _records(
        self, source: str, split: str, skips: Skips, read: Callable[[Path, Skips], list[Record]]
    ) -> list[Record]:
        if (source, split) not in self._read:
            skipped = Skips()
            self._read[source, split] = (read(self._file(source, split), skipped), skipped.to_dict())
        records, counted = self._read[source, split]
        skips.merge(counted)
        return list(records)

    def found(self, source: str, split: str) -> dict[str, int]:
        """How many items of each kind a source's file lists, usable or not; {} for a source that is not known."""
        skips = Skips()
        if source == "fho_lta":
            actions = self.actions(split, skips)
            return {"clips": len({action.clip_uid for action in actions}), "actions": len(actions) + len(skips)}
        if source == "fho_oscc-pnr":
            return {"windows": len(self.windows(split, skips)) + len(skips)}
        if source in ("moments", "scenarios"):
            clips = self.moments(split, skips)
            spoilt = skips.to_dict().get(SPOILT_MOMENT, {"count": 0})["count"]
            moments = sum(len(clip.moments) for clip in clips) + spoilt
            return {"clips": len(clips) + len(skips) - spoilt, "moments": moments}
        return {}

    def _file(self, source: str, split: str) -> Path:
        return layout.annotation_file(self.root, self.version, source, split)

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
        return read_scenarios(layout.annotation_dir(self.root, self.version) / "ego4d.json")

    def scenarios(self) -> dict[str, tuple[str, ...]]:
        """The scenarios of every video."""
        return self._scenarios

    def actions(self, split: str, skips: Skips) -> list[Action]:
        """LTA actions, in file order."""
        return self._records("fho_lta", split, skips, lambda path, own: read_actions(path, own, self.taxonomy()))

    def actions_by_clip(self, split: str, skips: Skips) -> dict[str, list[Action]]:
        """Actions of each LTA clip, in file order.

        Skipped: a row that repeats another, or that places its clip elsewhere than the clip's first row.
        """
        clips: dict[str, list[Action]] = {}
        seen: set[Action] = set()
        for action in self.actions(split, skips):
            clip, item = clips.setdefault(action.clip_uid, []), f"{action.clip_uid}: action_idx {action.action_idx}"
            if action in seen:
                skips.add("action listed twice", item)
            elif clip and _place(action) != _place(clip[0]):
                skips.add("action that lies elsewhere than its clip", item)
            else:
                clip.append(action)
            seen.add(action)
        return clips

    def windows(self, split: str, skips: Skips) -> list[Window]:
        """OSCC and PNR windows, in file order."""
        return self._records("fho_oscc-pnr", split, skips, read_windows)

    def windows_by_clip(self, split: str, skips: Skips) -> dict[str, list[Window]]:
        """Windows that share a clip_id, in file order; skipped: one of another video than the first of its clip."""
        clips: dict[str, list[Window]] = {}
        for window in self.windows(split, skips):
            clip = clips.setdefault(window.clip_id, [])
            if clip and window.video_uid != clip[0].video_uid:
                skips.add("window that lies in another video than its clip", window.unique_id)
            else:
                clip.append(window)
        return clips

    def moments(self, split: str, skips: Skips) -> list[MomentsClip]:
        """Moments clips, in file order."""
        return self._records("moments", split, skips, read_moments)


def _place(action: Action) -> tuple[str, int, int]:
    return action.video_uid, action.clip_start, action.clip_end
