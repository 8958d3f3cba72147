"""ego4d.json: the scenarios of whole videos, for the clips of moments_*.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from egopack.ego4d.json_reader import encodable, read_object, wrong
from egopack.ego4d.sources.moments import moments_found, moments_twice
from egopack.ego4d.sources.source import Source, split_files
from egopack.ego4d.sources.videos import VIDEOS


def read_scenarios(path: Path | str) -> dict[str, tuple[str, ...]]:
    """The scenarios of every video of ego4d.json, by the video's uid; a video may have none.

    Raises UserError for a file of another shape.
    """
    found = {}
    for video in read_object(path).items("videos"):
        names = video.data.get("scenarios")
        names = [] if names is None else names
        if type(names) is not list:
            raise video.wrong("scenarios", "a list of names")
        for index, name in enumerate(names):
            if type(name) is not str or not name or not encodable(name):
                raise wrong(video.file, video.where(f"scenarios[{index}]"), name, "a text")
        found[video.uid("video_uid")] = tuple(names)
    return found


SCENARIOS: Source[Any] = Source(
    "scenarios", (VIDEOS, *split_files("moments")), found=moments_found, twice=moments_twice
)
