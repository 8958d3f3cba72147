"""moments_*.json: the clips of MQ with their labelled segments, and the names of their classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egopack.ego4d import layout
from egopack.ego4d.agreement import Twice, end_in_video, frames_fit, is_number, same_split
from egopack.ego4d.json_reader import Item, read_object, read_text
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.source import Counts, Source, split_files
from egopack.ego4d.sources.videos import VIDEOS
from egopack.errors import UserError

if TYPE_CHECKING:
    from egopack.ego4d.annotations import Annotations

SPOILT_MOMENT, SPOILT_CLIP = "moment of no length", "clip that ends before it starts"


@dataclass(frozen=True, slots=True)
class Moment:
    """One labelled segment, in frames of the parent video."""

    label: str
    start: float
    end: float
    primary: bool


@dataclass(frozen=True, slots=True)
class MomentsClip:
    """One clip of moments_*, in frames and seconds of the parent video; `start` can be negative."""

    video_uid: str
    clip_uid: str
    start: float
    end: float
    start_s: float
    end_s: float
    moments: tuple[Moment, ...]
    annotated: bool  # false on the test split


def read_moments(path: Path | str, skips: Skips) -> list[MomentsClip]:
    """Clips of a moments_* file with the segments of all annotators, in file order.

    Skipped: a clip, or a segment (zero-length rows occur), that ends before it starts. On the test split such a clip
    lasts one frame, since all have to be predicted.
    """
    clips = []
    top = read_object(path)
    for video in top.items("videos"):
        video_uid = video.uid("video_uid")
        for item in video.items("clips"):
            clip = MomentsClip(
                video_uid=video_uid,
                clip_uid=item.uid("clip_uid"),
                start=item.frame("video_start_frame"),
                end=item.frame("video_end_frame"),
                start_s=item.seconds("video_start_sec"),
                end_s=item.seconds("video_end_sec"),
                moments=tuple(_moments(item, skips)),
                annotated=item.data.get("annotations") is not None,
            )
            if clip.end <= clip.start or clip.end_s <= clip.start_s:
                skips.add(SPOILT_CLIP, item.name())
                if not top.file.stem.endswith(layout.TEST):
                    continue
                clip = replace(clip, end=clip.start + 1)
            clips.append(clip)
    return clips


def _moment_rows(clip: Item) -> Iterator[Item]:
    if clip.data.get("annotations") is None:
        return
    for annotator in clip.items("annotations"):
        yield from annotator.items("labels")


def _moments(clip: Item, skips: Skips) -> Iterator[Moment]:
    for row in _moment_rows(clip):
        start, end = row.frame("video_start_frame"), row.frame("video_end_frame")
        moment = Moment(row.text("label"), start, end, row.flag("primary"))
        if end > start:
            yield moment
        else:
            skips.add(SPOILT_MOMENT, row.name())


def read_moment_labels(root: Path | str, version: str) -> tuple[str, ...]:
    """Moment classes, index = id: those of mq_labels.tsv, else the sorted distinct primary labels of train and val.

    Spelt as in the JSON, quotes included. Raises UserError for a malformed or repeated line.
    """
    path = layout.moment_labels_file(root)
    if path.exists():
        return _read_label_lines(path)
    labels: set[str] = set()
    for split in layout.SPLITS[:2]:
        for video in read_object(layout.annotation_file(root, version, "moments", split)).items("videos"):
            for clip in video.items("clips"):
                labels.update(row.text("label") for row in _moment_rows(clip) if row.flag("primary"))
    return tuple(sorted(labels))


def _read_label_lines(path: Path) -> tuple[str, ...]:
    names: dict[int, str] = {}
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        id_, tab, name = line.removesuffix("\r").partition("\t")
        if not tab or not name or not re.fullmatch("[0-9]{1,9}", id_):
            raise UserError(f"{path}: line {number} is {line[:60]!r}, expected an id, a tab and a label")
        if int(id_) in names or name in names.values():
            raise UserError(f"{path}: line {number} repeats {line[:60]!r}, expected each id and label once")
        names[int(id_)] = name
    if sorted(names) != list(range(len(names))) or not names:
        raise UserError(f"{path}: ids are not 0 ... {len(names) - 1}, expected each of them once")
    return tuple(names[i] for i in range(len(names)))


def moments_found(annotations: Annotations, split: str) -> Counts:
    """Clips and moments that the file of a split lists."""
    skips = Skips()
    clips = annotations.moments(split, skips)
    counts = {reason: entry["count"] for reason, entry in skips.to_dict().items()}
    left_out = 0 if split == layout.TEST else counts.get(SPOILT_CLIP, 0)
    moments = sum(len(clip.moments) for clip in clips) + counts.get(SPOILT_MOMENT, 0)
    return {"clips": len(clips) + left_out, "moments": moments}


def moments_twice(annotations: Annotations, split: str, fps: float) -> list[Twice]:
    """What the file of a split gives twice."""
    top = read_object(layout.annotation_file(annotations.root, annotations.version, "moments", split))
    name, footage = top.file.name, annotations.footage()
    times = Twice("seconds", f"frames and seconds of {name}", slack=2 / fps, cause=frames_fit(fps))
    clock = Twice("seconds", f"seconds of {name} in the clip and in the video", slack=2 / fps)
    ends = Twice("ends", f"ends of the clips of {name} and of their videos in {VIDEOS}", slack=2 / fps)
    splits = Twice("splits", f"split of {name} and what it, {VIDEOS} or another file say", "")
    others = layout.SPLITS[: layout.SPLITS.index(split)]
    known = {other: {clip.clip_uid for clip in annotations.moments(other, Skips())} for other in others}
    for video in top.items("videos"):
        about = footage.get(str(video.data.get("video_uid")))
        said = [("the file", video.data["split"])] if "split" in video.data else []
        said += [(VIDEOS, about.splits["em"])] if about and "em" in about.splits else []
        for where, given in said:
            splits.add_same(f"{video.name()}: {where} says {given}", same_split(given, split))
        for clip in video.items("clips"):
            row, place = clip.data, clip.name()
            for edge in ("video_start", "video_end"):
                _add_frame(times, place, edge, row.get(f"{edge}_frame"), row.get(f"{edge}_sec"), fps)
            start, length = row.get("video_start_sec"), _difference(row, "clip_start_sec", "clip_end_sec")
            clock.add(f"{place}: length", length, _difference(row, "video_start_sec", "video_end_sec"))
            end_in_video(ends, place, row.get("video_end_sec"), about.seconds if about else None)
            for other, uids in known.items():
                splits.add_same(f"{place} is in {other} too", row.get("clip_uid") not in uids)
            for moment in _moment_rows(clip):
                for edge in ("start", "end"):
                    in_video = moment.data.get(f"video_{edge}_time")
                    where = moment.name()
                    _add_frame(times, where, edge, moment.data.get(f"video_{edge}_frame"), in_video, fps)
                    if is_number(in_video) and is_number(start):
                        clock.add(f"{where}.{edge}", moment.data.get(f"{edge}_time"), in_video - start)
    return [times, clock, ends, splits]


def _add_frame(times: Twice, place: str, edge: str, frame: Any, seconds: Any, fps: float) -> None:
    times.add(f"{place}.{edge}", frame / fps if is_number(frame) else None, seconds)


def _difference(row: dict[str, Any], start: str, end: str) -> float | None:
    return row[end] - row[start] if is_number(row.get(start)) and is_number(row.get(end)) else None


MOMENTS = Source(
    "moments",
    split_files("moments"),
    optional=(layout.MOMENT_LABELS,),
    read=lambda annotations, path, skips: read_moments(path, skips),
    found=moments_found,
    twice=moments_twice,
)
