"""Spans: what every export comes down to, one value of one track from a start to an end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from egopack.ego4d.json_reader import encodable
from egopack.ego4d.skips import Skips
from egopack.footage.cells import MEDIA, MOST_SECONDS

EMPTY = "without a name"
IMPOSSIBLE = "whose times are no stretch of a video"
UNNAMEABLE = "with a formula or control characters for a name"


class Span(NamedTuple):
    """A value (cut) of a track (verb) in a video, from `start` to `end` in seconds."""

    video: str
    start: float
    end: float
    track: str
    value: str


@dataclass
class Export:
    """The spans of one file, and what was left out of it."""

    spans: list[Span] = field(default_factory=list)
    skips: Skips = field(default_factory=Skips)

    def add(self, video: str, start: float, end: float, track: str, value: str) -> None:
        """Add a span; one that no table can hold is counted. The ending of a video's file is no part of its name;
        spaces and line breaks within a value become one space.
        """
        video = video[: video.rindex(".")] if is_video(video) else video
        value, at = " ".join(value.split()), f"{track} at {start:g} s of {video}"
        if not value:
            self.skips.add(EMPTY, at)
        elif not (math.isfinite(start) and start < end <= MOST_SECONDS):
            self.skips.add(IMPOSSIBLE, at)
        elif value.startswith("=") or not value.isprintable() or not encodable(value):
            self.skips.add(UNNAMEABLE, at)
        else:
            self.spans.append(Span(video, start, end, track, value))


def file_name(address: str) -> str:
    """The name of the file that a path or an address points at: `file:///C:/my%20videos/a.mp4` is `a.mp4`."""
    try:
        parts = urlsplit(address)
    except ValueError:  # a host that is none
        return PureWindowsPath(address).name
    inside = parse_qs(parts.query).get("d") if parts.path.endswith("/") else None  # Label Studio's local files
    path = inside[0] if inside else parts.path if parts.scheme or inside else address
    return PureWindowsPath(unquote(path)).name


def is_video(name: str) -> bool:
    """Whether a file's name ends like a video's."""
    return name.lower().endswith(MEDIA)
