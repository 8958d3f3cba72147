"""Label Studio's exports, JSON and JSON-MIN: timeline labels in frames, regions of video or audio in seconds.

A region's labels, and what else is said of it (choices, texts), are a track each, by the name of their control.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from egopack.ego4d.json_reader import Item
from egopack.errors import UserError
from egopack.footage.exports.spans import Export, file_name, is_video

BOXES = "boxes, which say where and not what happens when"
UNTIMED = "of a whole video, without times"
CANCELLED = "annotations that were skipped"
SECOND = "annotations of a video that has one already"
GUESSED = "predictions of a model"
VIDEO = ("video", "videos", "video_url", "url")
UPLOADED = "^[0-9a-f]{8}-"  # what Label Studio puts before the name of a file that is uploaded
MEMBERS = ("timelinelabels", "labels", "choices", "text", "videolabels", "taxonomy")


def read_label_studio(path: Path, tasks: list[Any], fps: float | None) -> Export:
    """The spans of all tasks; UserError for another shape, and for frames of a video whose rate nobody knows: it is
    that of its boxes, which say it, else `fps`.
    """
    found = Export()
    for number, value in enumerate(tasks):
        task = Item(path, value, f"[{number}]")
        whole = "annotations" in task.data
        about = Item(path, task.data["data"], "data", task) if isinstance(task.data.get("data"), dict) else task
        video = _video(about)
        results = list(_chosen(task, video, found) if whole else _minimal(task))
        rate = _rate(results) or fps
        regions = {_region(one): times for one in results if (times := _times(one, rate))}
        named = {_region(one) for one in results if _names(one)}
        for one in results:
            if _names(one) or _region(one) not in named:
                _add(one, video, _times(one, rate) or regions.get(_region(one), []), found)
    return found


def _video(item: Item) -> str:
    texts = [key for key, value in item.data.items() if isinstance(value, str) and value]
    names = [key for key in texts if is_video(file_name(item.data[key]))] or [key for key in VIDEO if key in texts]
    if not names:
        raise UserError(f"{item.file}: {item.where()} names no video, as 'video': '/data/upload/kitchen.mp4' would")
    address = item.text(names[0])
    return re.sub(UPLOADED, "", file_name(address)) if "/upload/" in address else file_name(address)


def _chosen(task: Item, video: str, found: Export) -> Iterator[Item]:
    """The results of one annotation of a task: the ground truth, else the first that was not skipped."""
    given = list(task.items("annotations"))
    kept = [one for one in given if not one.data.get("was_cancelled")]
    kept.sort(key=lambda one: not one.data.get("ground_truth"))
    reasons = [(CANCELLED, len(given) - len(kept)), (SECOND, len(kept[1:]))]
    if not kept:
        reasons.append((GUESSED, len(list(task.items("predictions"))) if task.data.get("predictions") else 0))
    for reason, count in reasons:
        for _ in range(count):
            found.skips.add(reason, video)
    if kept:
        yield from kept[0].items("result")


def _minimal(task: Item) -> Iterator[Item]:
    """JSON-MIN: the values of a control stand in a list under its name."""
    for key, values in task.data.items():
        for number, value in enumerate(values if isinstance(values, list) else ()):
            if isinstance(value, dict) and ("ranges" in value or "start" in value):
                yield Item(task.file, {"from_name": key, "value": value}, f"{key}[{number}]", task)


def _rate(results: list[Item]) -> float | None:
    """Frames per second, where a box tells how many there are and how long they last."""
    for one in results:
        value = Item(one.file, one.data.get("value", {}), "value", one)
        if "framesCount" in value.data and "duration" in value.data:
            count, seconds = value.frame("framesCount"), value.seconds("duration")
            if count > 0 and seconds > 0:
                return count / seconds
    return None


def _times(result: Item, fps: float | None) -> list[tuple[float, float]]:
    """The stretches of a result, in seconds; frames count from 1, and the last one is part of its range."""
    value = Item(result.file, result.data.get("value", {}), "value", result)
    if "ranges" not in value.data:
        known = "start" in value.data and "end" in value.data
        return [(value.seconds("start"), value.seconds("end"))] if known else []
    ranges = list(value.items("ranges"))
    if fps is None:
        raise UserError(f"{result.file}: {value.where('ranges')} are frames; give the rate of the videos, as --fps 25")
    return [((one.frame("start") - 1) / fps, one.frame("end") / fps) for one in ranges]


def _add(result: Item, video: str, times: list[tuple[float, float]], found: Export) -> None:
    track = result.text("from_name")
    if "sequence" in result.data.get("value", {}):
        found.skips.add(BOXES, f"{track} of {video}")
        return
    if not times:
        found.skips.add(UNTIMED, f"{track} of {video}")
    for start, end in times:
        for name in _names(result) or [""]:
            found.add(video, start, end, track, name)


def _region(result: Item) -> str:
    """What results that belong together have in common."""
    return str(result.data.get("id", result.where()))


def _names(result: Item) -> list[str]:
    """What a result says: a list of texts, one text, or paths of a taxonomy, of which the last part counts."""
    value = Item(result.file, result.data.get("value", {}), "value", result)
    names: list[str] = []
    for key in MEMBERS:
        given = value.data.get(key) or []
        listed = [one[-1] if isinstance(one, list) and one else one for one in _listed(given)]
        if any(type(name) is not str for name in listed):
            raise value.wrong(key, "a list of names")
        names += listed
    return names


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]
