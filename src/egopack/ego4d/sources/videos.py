"""ego4d.json: how long every video is, at what rate, and in which split of each benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from egopack.ego4d.agreement import is_number
from egopack.ego4d.json_reader import read_object
from egopack.ego4d.layout import SPLITS

VIDEOS = "ego4d.json"


@dataclass(frozen=True, slots=True)
class Footage:
    """What ego4d.json says of a video; None where it does not. `splits`: benchmark (em, fho) -> split; `site`: who
    recorded it.
    """

    duration_s: float | None
    frames: float | None
    fps: float | None
    splits: Mapping[str, str]
    site: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long the video is: by its frames, from which features are made, else by its duration."""
        return self.frames / self.fps if self.frames is not None and self.fps else self.duration_s


def read_footage(path: Path | str) -> dict[str, Footage]:
    """What ego4d.json says of every video, by its uid; what is missing or no number is None."""
    found = {}
    for video in read_object(path).items("videos"):
        about = video.data.get("video_metadata")
        given = {"duration_sec": video.data.get("duration_sec")} | (about if type(about) is dict else {})
        duration, frames, fps = (
            float(given[key]) if is_number(given.get(key)) and given[key] > 0 else None
            for key in ("duration_sec", "num_frames", "fps")
        )
        splits = {
            key.removeprefix("split_"): value
            for key, value in video.data.items()
            if key.startswith("split_") and value in {split.split("_")[0] for split in SPLITS}
        }
        site = video.data.get("video_source")
        known = site if isinstance(site, str) else None
        found[video.uid("video_uid")] = Footage(duration, frames, fps, splits, known)
    return found
