"""fho_oscc-pnr_*.json: the windows of OSCC and PNR."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from egopack.ego4d import layout
from egopack.ego4d.agreement import Twice, end_in_video, frames_fit, is_number, same_split
from egopack.ego4d.json_reader import read_object
from egopack.ego4d.layout import TEST
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.source import Counts, Source, split_files
from egopack.ego4d.sources.videos import VIDEOS

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


def _twice(annotations: Annotations, split: str, fps: float) -> list[Twice]:
    top = read_object(layout.annotation_file(annotations.root, annotations.version, "fho_oscc-pnr", split))
    name, footage = top.file.name, annotations.footage()
    times = Twice("seconds", f"frames and seconds of {name}", slack=2 / fps, cause=frames_fit(fps))
    ends = Twice("ends", f"ends of the windows of {name} and of their videos in {VIDEOS}", slack=2 / fps)
    points = Twice("ends", f"points of no return of {name} and their windows", slack=1 / fps)
    splits = Twice("splits", f"split of {name} and what it, {VIDEOS} or another file say", "")
    ids = []
    for item in top.items("clips"):
        row, place = item.data, item.name()
        start, end, pnr = (row.get(f"parent_{edge}_frame") for edge in ("start", "end", "pnr"))
        for edge, frame in (("parent_start", start), ("parent_end", end)):
            times.add(f"{place}.{edge}", frame / fps if is_number(frame) else None, row.get(f"{edge}_sec"))
        video = footage.get(str(row.get("video_uid")))
        if is_number(start) and is_number(end):
            end_in_video(ends, place, end / fps, video.seconds if video else None)
            if is_number(pnr):
                points.add(place, (pnr - start) / fps, min(max(pnr, start), end) / fps - start / fps)
        if video and "fho" in video.splits:
            splits.add_same(f"{place}: {VIDEOS} says {video.splits['fho']}", same_split(video.splits["fho"], split))
        ids.append(str(row.get("unique_id")))
    if "split" in top.data:
        splits.add_same(f"{name}: split is {top.data['split']!r}", same_split(top.data["split"], split))
    for other in layout.SPLITS[: layout.SPLITS.index(split)]:
        known = {window.unique_id for window in annotations.windows(other, Skips())}
        for unique_id in ids:
            splits.add_same(f"window {unique_id} is in {other} too", unique_id not in known)
    return [times, ends, points, splits]


FHO_OSCC_PNR = Source(
    "fho_oscc-pnr",
    split_files("fho_oscc-pnr"),
    read=lambda annotations, path, skips: read_windows(path, skips),
    found=_found,
    twice=_twice,
)
