"""ActivityNet's JSON, the form of most detectors' releases:

{"database": {video: {"subset", "duration", "fps", "annotations": [{"segment": [start, end], "label", "label_id"}]}}}

An annotation may have `verb`, `noun`, `state_change`, `pnr` and `id` too, as a table has. Where nothing is for training
and validation and test have labels both, as in THUMOS, validation trains and test validates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from egopack.ego4d.json_reader import Item, read_object
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.footage import cells
from egopack.footage.table import LABELS, no_videos, read_classes
from egopack.footage.timelines import TEXTS, Timelines, judged
from egopack.labels import Labels

THUMOS = "no video is for training: validation trains, test validates"
EXTRA = ("state_change", "pnr", "id")


def read_activitynet(path: Path) -> Timelines:
    """The timelines of a file; UserError for one of another shape."""
    top = read_object(path)
    database = top.data.get("database")
    if type(database) is not dict or not database:
        raise top.wrong("database", "an object with the videos")
    items = {name: Item(path, value, f"database.{name}", top) for name, value in database.items()}
    places = pd.Series([item.where() for item in items.values()], index=range(len(items)))
    names = cells.video_names(path, places, pd.Series(list(items)), "name")
    rows: list[dict[str, Any]] = []
    videos = []
    ids: dict[str, int] = {}
    for video, item in zip(names, items.values(), strict=True):
        duration, fps = (_number(item, key) for key in ("duration", "fps"))
        split = _split(item)
        videos.append({"video": video, "duration": duration, "fps": fps, "split": split, "group": None})
        rows += _segments(item, video, ids)
    skips = Skips()
    table = pd.DataFrame(rows, columns=["row", "video", "start", "end", *_present(rows)])
    found = pd.concat([no_videos(), pd.DataFrame(videos).set_index("video")])
    if _like_thumos(found, table):
        found["split"] = found["split"].map({"val": "train", "test_unannotated": "val"})
        skips.add(THUMOS, path.name)
    return judged(Timelines(path, table, found, _classes(path, ids), skips))


def _present(rows: list[dict[str, Any]]) -> list[str]:
    return [name for name in (*TEXTS, *EXTRA) if any(row.get(name) is not None for row in rows)]


def _segments(video: Item, name: str, ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    if video.data.get("annotations") is None:
        return
    for item in video.items("annotations"):
        segment = item.data.get("segment")
        if type(segment) is not list or len(segment) != 2 or not all(map(_is_number, segment)):
            raise item.wrong("segment", "a start and an end in seconds")
        row: dict[str, Any] = {"row": item.where(), "video": name, "start": float(segment[0]), "end": float(segment[1])}
        for key in (*TEXTS, "id"):
            row[key] = None if item.data.get(key) in (None, "") else item.text(key).strip()
        row["state_change"] = None if item.data.get("state_change") is None else item.flag("state_change")
        row["pnr"] = None if item.data.get("pnr") is None else item.seconds("pnr")
        label, number = row["label"], item.data.get("label_id")
        if label is not None and number is not None and ids.setdefault(label, item.label("label_id")) != number:
            raise item.wrong("label_id", f"{ids[label]} of {label!r}, as elsewhere")
        yield row


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= cells.MOST_SECONDS


def _number(item: Item, key: str) -> float:
    if item.data.get(key) is None:
        return math.nan
    if not item.seconds(key) > 0:
        raise item.wrong(key, "more than 0")
    return item.seconds(key)


def _split(item: Item) -> str | None:
    if item.data.get("subset") is None:
        return None
    split = cells.SPLITS.get(item.text("subset").strip().lower())
    if split is None:
        raise item.wrong("subset", "training, validation or testing")
    return split


def _like_thumos(videos: pd.DataFrame, segments: pd.DataFrame) -> bool:
    labelled = set(videos.loc[videos.index.isin(segments["video"]), "split"].dropna())
    return labelled == {"val", "test_unannotated"} and "train" not in set(videos["split"])


def _classes(path: Path, ids: dict[str, int]) -> Labels:
    """Those of labels.json, else moments in the order of their label_id."""
    if len(set(ids.values())) < len(ids):
        twice = sorted(ids, key=lambda label: ids[label])
        one, other = next(pair for pair in pairwise(twice) if ids[pair[0]] == ids[pair[1]])
        raise UserError(f"{path}: {one!r} and {other!r} have one label_id, {ids[one]}; each class has its own")
    own: Labels = {"moments": tuple(sorted(ids, key=lambda label: ids[label]))} if ids else {}
    return own | read_classes(path.parent / LABELS)
