"""The annotations under one raw root, by split, as records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from egopack.ego4d import layout
from egopack.ego4d.records import (
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


@dataclass(frozen=True)
class Annotations:
    """Reads what a task asks for; every reader counts what it skips."""

    root: Path
    version: str

    def _file(self, source: str, split: str) -> Path:
        return layout.annotation_file(self.root, self.version, source, split)

    @cached_property
    def _taxonomy(self) -> Taxonomy:
        return read_taxonomy(layout.taxonomy_file(self.root, self.version))

    def taxonomy(self) -> Taxonomy:
        return self._taxonomy

    def moment_labels(self) -> tuple[str, ...]:
        return read_moment_labels(self.root, self.version)

    def actions_by_clip(self, split: str, skips: Skips) -> dict[str, list[Action]]:
        """Actions of each LTA clip, in file order."""
        clips: dict[str, list[Action]] = {}
        for action in read_actions(self._file("fho_lta", split), skips, self.taxonomy()):
            clips.setdefault(action.clip_uid, []).append(action)
        return clips

    def windows(self, split: str, skips: Skips) -> list[Window]:
        """OSCC and PNR windows, in file order."""
        return read_windows(self._file("fho_oscc-pnr", split), skips)

    def windows_by_clip(self, split: str, skips: Skips) -> dict[str, list[Window]]:
        """Windows that share a clip_id, in file order."""
        clips: dict[str, list[Window]] = {}
        for window in self.windows(split, skips):
            clips.setdefault(window.clip_id, []).append(window)
        return clips

    def moments(self, split: str, skips: Skips) -> list[MomentsClip]:
        """Moments clips, in file order."""
        return read_moments(self._file("moments", split), skips)
