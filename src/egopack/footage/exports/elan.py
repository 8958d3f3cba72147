"""ELAN's .eaf: tiers of annotations on the timeline of a video, read by pympi."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from egopack.errors import UserError, refused
from egopack.footage.exports.spans import Export, file_name, is_video

UNTIMED = "without times"
OTHER_MEDIA = "further videos of the same timeline"
MOST_MS = 2**53


def read_elan(path: Path) -> Export:
    """The annotations of all tiers; UserError for what is no .eaf file.

    A tier that depends on another has the times of what its annotations refer to. The video is the first that is
    linked, else the one of the file's name.
    """
    eaf = _parsed(path)
    found = Export()
    video, origin = _video(path, eaf, found)
    aligned = {key: (one[0], one[1]) for tier in eaf.tiers.values() for key, one in tier[0].items()}
    parents = {key: one[0] for tier in eaf.tiers.values() for key, one in tier[1].items()}
    for name, (own, referring, *_) in eaf.tiers.items():
        values = {key: one[2] for key, one in own.items()} | {key: one[1] for key, one in referring.items()}
        for key, value in values.items():
            times = [eaf.timeslots.get(slot) for slot in aligned.get(_root(key, parents), ())]
            if len(times) == 2 and all(time is not None and time < MOST_MS for time in times):
                found.add(video, times[0] / 1000 + origin, times[1] / 1000 + origin, name, value)
            else:
                found.skips.add(UNTIMED, f"{name}: {value[:40]!r}")
    return found


def _parsed(path: Path) -> Any:
    try:
        from pympi.Elan import Eaf
    except ImportError:
        raise UserError("ELAN's files are read by pympi, which is not installed: pip install pympi-ling") from None
    try:
        path.open("rb").close()
        return Eaf(str(path), suppress_version_warning=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise refused(path, error) from None
    except Exception as error:  # pympi raises what it likes for a file that is not ELAN's
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{path}: not a whole .eaf file ({reason}); save it in ELAN again") from None


def _root(key: str, parents: dict[str, str]) -> str:
    """The annotation on the timeline that one refers to, perhaps by others; one that refers to itself has none."""
    seen = set()
    while key in parents and key not in seen:
        seen.add(key)
        key = parents[key]
    return key


def _video(path: Path, eaf: Any, found: Export) -> tuple[str, float]:
    """The name of the video, and the second of it at which the timeline begins."""
    media = [(file_name(one["MEDIA_URL"]), one.get("TIME_ORIGIN")) for one in eaf.media_descriptors]
    videos = [(name, origin) for name, origin in media if is_video(name)]
    if not videos:
        return path.stem, 0.0
    for name, _ in videos[1:]:
        found.skips.add(OTHER_MEDIA, name)
    name, origin = videos[0]
    try:
        return name, int(origin or 0) / 1000
    except ValueError:
        raise UserError(f"{path}: TIME_ORIGIN of {name} is {origin!r}, expected milliseconds") from None
