"""What a user wants predicted, from a file: stretches of videos, or points after which the future is anticipated."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from egopack.errors import UserError, refused

FORM = 'expected {"VIDEO": [[start, end], ...]} or a CSV with the columns video, start, end (or video, at), in seconds'


def read_segments(path: Path, videos: Sequence[str], window_s: float) -> dict[str, np.ndarray]:
    """The stretches [S, 2] of each video, in seconds. A point is the end of the `window_s` before it. Where the file
    names no video, they are those of the only one.

    Raises:
        UserError: the file has another form.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _json_rows(json.loads(text)) if path.suffix == ".json" else _csv_rows(text)
        found: dict[str, list[list[float]]] = {}
        for video, bounds in rows:
            if video is None and len(videos) != 1:
                raise UserError(f"{path}: names no videos, but there are {len(videos)}")
            at = [float(one) for one in bounds]
            stretch = at if len(at) == 2 else [max(at[0] - window_s, 0.0), at[0]]
            found.setdefault(videos[0] if video is None else video, []).append(stretch)
    except OSError as error:
        raise refused(path, error) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path}: {FORM} ({error})") from None
    if not found:
        raise UserError(f"{path}: no segment; {FORM}")
    return {video: np.array(rows) for video, rows in found.items()}


def _json_rows(value: Any) -> list[tuple[str | None, Sequence[Any]]]:
    groups = value.items() if isinstance(value, dict) else [(None, value)]
    return [(video, row if isinstance(row, list) else [row]) for video, rows in groups for row in rows]


def _csv_rows(text: str) -> list[tuple[str | None, Sequence[Any]]]:
    lines = list(csv.DictReader(text.splitlines(), strict=True))
    columns = ["at"] if lines and "at" in lines[0] else ["start", "end"]
    return [(line.get("video"), [line[column] for column in columns]) for line in lines]
