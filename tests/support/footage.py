"""Footage of one's own, written in every form that is read."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from egopack.data.grid import Grid
from egopack.footage.annotations import OwnFootage
from egopack.footage.sources import open_annotations
from egopack.params import DataParams

GRID = Grid(16, 30.0)
SIZE = 8
Row = dict[str, Any]
COLUMNS = ("video", "start", "end", "verb", "noun", "label", "state_change", "pnr", "split", "id")


def data_params(source: str, **others: Any) -> DataParams:
    return DataParams.model_validate({"source": source, "root": ".", "features": {"own": {"size": SIZE}}} | others)


def segments(videos: Mapping[str, float], rng: np.random.Generator) -> list[Row]:
    """Segments of videos of so many seconds, one after the other."""
    rows: list[Row] = []
    for video, seconds in videos.items():
        start = 0.25
        while start + 4 < seconds:
            end = start + float(rng.integers(4, 16)) / 4
            verb, noun = str(rng.choice(["cut", "open", "wash"])), str(rng.choice(["apple", "door"]))
            changes = verb != "wash"
            row = {"video": video, "start": start, "end": end, "verb": verb, "noun": noun, "label": f"{verb} up"}
            row |= {"state_change": changes, "pnr": (start + end) / 2 if changes else None}
            rows.append(row | {"id": f"{video}/{len(rows)}"})
            start = end + float(rng.integers(0, 4)) / 4
    return rows


def write_table(
    folder: Path, rows: Sequence[Row], columns: Sequence[str] = COLUMNS, name: str = "segments.csv"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        used = [column for column in columns if any(row.get(column) is not None for row in rows)]
        writer = csv.DictWriter(file, used, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


def write_activitynet(
    folder: Path, rows: Sequence[Row], durations: Mapping[str, float], subsets: Mapping[str, str]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    database: dict[str, Any] = {}
    for video, seconds in durations.items():
        found = []
        for row in rows:
            if row["video"] == video:
                rest = {key: value for key, value in row.items() if key not in ("video", "start", "end", "split")}
                found.append({"segment": [row["start"], row["end"]], **rest})
        database[video] = {"subset": subsets[video], "duration": seconds, "annotations": found}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    return folder / "annotations.json"


def write_features(folder: Path, videos: Mapping[str, float], size: int = SIZE) -> dict[str, int]:
    """Random rows on GRID; how many each video has."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {video: int(seconds * GRID.fps) // GRID.stride for video, seconds in videos.items()}
    for video, count in rows.items():
        own = np.random.default_rng(sum(video.encode())).standard_normal((count, size))
        np.save(folder / f"{video}.npy", own.astype(np.float32))
    return rows


def opened(root: Path, source: str, rows: Mapping[str, int], **others: Any) -> OwnFootage:
    found = open_annotations(data_params(source, **others), root, rows, {})
    assert isinstance(found, OwnFootage)
    return found
