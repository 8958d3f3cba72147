"""Feature rows of a video by an encoder, in a file that says how they were made; what was stopped is taken up again.

<name>.npy, rows float32 [n, D]; <name>.json, the grid and the encoder; while it is made <name>.rows, the rows so far.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egopack.errors import UserError
from egopack.files import atomic_path, write_json
from egopack.inference.encoders import Encoder
from egopack.inference.video import Frame, Video
from egopack.params import FeatureSet

VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")


def extract(
    video: Video,
    out: Path,
    encoder: Encoder,
    grid: FeatureSet,
    *,
    named: str,
    batch: int = 8,
    short_side: int = 256,
    on_rows: Callable[[int], object] = lambda rows: None,
) -> int | None:
    """Write the rows of `video` to `out`, .npy, and how they were made beside it; how many there are, None where the
    same were there already. `named` is the encoder's name, `grid.size` the width that is wanted, 0 for any.

    Raises:
        UserError: the encoder gives something else than rows of finite numbers of that width; no frame can be decoded.
    """
    made = _made_by(video, grid, named, short_side)
    said = out.with_suffix(".json")
    if out.is_file() and _read(said).get("made_by") == made:
        return None
    part = out.with_suffix(".rows")
    rows = _Rows(part, made, grid.size)
    with torch.inference_mode():
        windows = islice(video.windows(grid.stride, grid.window), rows.count, None)
        on_rows(rows.count)
        while chosen := list(islice(windows, batch)):
            rows.append(_encoded(encoder, chosen, short_side, named))
            on_rows(len(chosen))
    if not rows.count:
        raise UserError(f"{video.path}: no frame of it can be decoded")
    table = rows.table()
    with atomic_path(out) as temporary, temporary.open("wb") as file:
        np.save(file, table)
    place = {"stride": grid.stride, "window": grid.window, "fps": grid.fps, "size": table.shape[1]}
    write_json(said, {**place, "encoder": named, "rows": len(table), "made_by": made})
    rows.remove()
    return len(table)


def _made_by(video: Video, grid: FeatureSet, named: str, short_side: int) -> dict[str, Any]:
    """What the rows follow from, as far as it can be told cheaply: another file, encoder or grid gives other ones."""
    status = video.path.stat()
    encoder = Path(named).stat().st_mtime_ns if Path(named).is_file() else 0
    grid_of = [grid.stride, grid.window, grid.fps]
    return {"video": [status.st_size, status.st_mtime_ns], "encoder": [named, encoder], "grid": [*grid_of, short_side]}


def _read(path: Path) -> dict[str, Any]:
    """The content of a JSON file that says how something was made; empty where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _encoded(encoder: Encoder, windows: list[list[Frame]], short_side: int, named: str) -> np.ndarray:
    """Rows of some windows, float32 [B, D]."""
    pixels = np.stack([np.stack([frame.pixels(short_side) for frame in window]) for window in windows])
    found = encoder(torch.from_numpy(pixels))
    shape = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(windows):
        raise UserError(f"--encoder: {named}: gives {shape} for {len(windows)} windows, expected [{len(windows)}, D]")
    rows = found.detach().float().cpu().numpy()
    if not np.isfinite(rows).all():
        raise UserError(f"--encoder: {named}: gives NaN or Inf")
    return rows


class _Rows:
    """The rows that were made so far, in a file that only grows; a row that was cut short counts for nothing."""

    def __init__(self, path: Path, made: dict[str, Any], size: int) -> None:
        self.path, self.size = path, size
        self._note = path.with_suffix(".rows.json")
        noted = _read(self._note)
        if noted.get("made_by") != made or not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            write_json(self._note, {"made_by": made, "size": 0})
            noted = {"size": 0}
        self._made, self._width = made, int(noted["size"])
        self.count = path.stat().st_size // (4 * self._width) if self._width else 0

    def append(self, rows: np.ndarray) -> None:
        if self.size not in (0, rows.shape[1]):
            raise UserError(f"--encoder: gives rows of {rows.shape[1]} numbers, but the model wants {self.size}")
        if not self._width:
            self._width = rows.shape[1]
            write_json(self._note, {"made_by": self._made, "size": self._width})
        with self.path.open("r+b") as file:
            file.truncate(self.count * 4 * self._width)
            file.seek(0, 2)
            file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        self.count += len(rows)

    def table(self) -> np.ndarray:
        return np.fromfile(self.path, "<f4").reshape(self.count, self._width)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def videos_in(paths: list[Path]) -> Iterator[Path]:
    """The videos that are named, those of folders in the order of their names.

    Raises:
        UserError: two have one name, under which their features would be written.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        inside = sorted(one for one in path.iterdir() if one.suffix.lower() in VIDEOS) if path.is_dir() else [path]
        for one in inside:
            if seen.setdefault(one.stem, one) is not one:
                raise UserError(f"{one}: has the name of {seen[one.stem]}; write their features into two folders")
            yield one
