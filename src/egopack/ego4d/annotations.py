"""The annotations under one raw root, by split, as records."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from egopack.ego4d import layout
from egopack.ego4d.skips import Skipped, Skips
from egopack.ego4d.sources.fho_lta import FHO_LTA, Action, Taxonomy, read_taxonomy
from egopack.ego4d.sources.fho_oscc_pnr import FHO_OSCC_PNR, Window
from egopack.ego4d.sources.moments import MOMENTS, MomentsClip, read_moment_labels
from egopack.ego4d.sources.scenarios import VIDEOS, read_scenarios
from egopack.ego4d.sources.source import Record, Source
from egopack.ego4d.sources.table import SOURCES


@dataclass(frozen=True)
class Annotations:
    """Reads what tasks ask for, each file once; every reader counts what it skips."""

    root: Path
    version: str
    _read: dict[tuple[str, str], tuple[list[Any], Skipped]] = field(default_factory=dict, repr=False, compare=False)

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
        return self.records(FHO_OSCC_PNR, split, skips)

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
        return self.records(MOMENTS, split, skips)


def _place(action: Action) -> tuple[str, int, int]:
    return action.video_uid, action.clip_start, action.clip_end
