"""fho_oscc-pnr_*.json: the windows of OSCC and PNR."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from egopack.ego4d.json_reader import read_object
from egopack.ego4d.layout import TEST
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.source import Counts, Source, split_files

if TYPE_CHECKING:
    from egopack.ego4d.annotations import Annotations

SPOILT = "window that ends before it starts"


@dataclass(frozen=True, slots=True)
class Window:
    """One row of fho_oscc-pnr_*; frames of the parent video; `state_change` and `pnr` are None where unknown."""

    video_uid: str
    clip_id: str
    unique_id: str
    start: int
    end: int
    state_change: bool | None
    pnr: int | None


def read_windows(path: Path | str, skips: Skips) -> list[Window]:
    """Windows of an fho_oscc-pnr_* file, in file order; skipped: those that end before they start.

    On the test split these last one frame, since all have to be predicted.
    """
    windows = []
    top = read_object(path)
    for item in top.items("clips"):
        if type(item.data.get("clip_id")) is int:  # a text in this file, an int in fho_lta_*: either will do
            item.data["clip_id"] = str(item.data["clip_id"])
        window = Window(
            video_uid=item.uid("video_uid"),
            clip_id=item.text("clip_id"),
            unique_id=item.text("unique_id"),
            start=item.frame("parent_start_frame"),
            end=item.frame("parent_end_frame"),
            state_change=None if item.data.get("state_change") is None else item.flag("state_change"),
            pnr=None if item.data.get("parent_pnr_frame") is None else item.frame("parent_pnr_frame"),
        )
        if window.end <= window.start:
            skips.add(SPOILT, item.name())
            if not top.file.stem.endswith(TEST):
                continue
            window = replace(window, end=window.start + 1)
        windows.append(window)
    return windows


def _found(annotations: Annotations, split: str) -> Counts:
    skips = Skips()
    kept = len(annotations.windows(split, skips))
    spoilt = skips.to_dict().get(SPOILT, {"count": 0})["count"]
    return {"windows": kept + len(skips) - (spoilt if split == TEST else 0)}


FHO_OSCC_PNR = Source(
    "fho_oscc-pnr",
    split_files("fho_oscc-pnr"),
    read=lambda annotations, path, skips: read_windows(path, skips),
    found=_found,
)
