"""Submissions to the challenges of EPIC-KITCHENS-100, version 0.2, checked: a server says less about what is wrong.

All functions raise ValueError for predictions that do not fit. `expected` is what the test file asks for: with it, a
missing or superfluous entry is an error too. What they return goes to the server zipped as `test.json`.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from egopack.files import atomic_path

VERSION = "0.2"
MEMBER = "test.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can give: no date of a run
LEVELS = range(6)


@dataclass(frozen=True)
class SupervisionLevels:
    """What a submission says of the supervision it had, 0 ... 5 each: pretraining, training labels, training data."""

    pretraining: int
    labels: int
    data: int

    def entries(self) -> dict[str, int]:
        """As the format names them; ValueError for a level that it lacks."""
        found = {"sls_pt": self.pretraining, "sls_tl": self.labels, "sls_td": self.data}
        for name, level in found.items():
            if level not in LEVELS:
                raise ValueError(f"{name} is {level}, expected one of 0 ... {LEVELS[-1]}")
        return found


@dataclass(frozen=True)
class ActionDetection:
    """One segment that was found, in seconds from the start of its video."""

    verb: int
    noun: int
    score: float
    start: float
    end: float


def recognition_submission(
    narration_ids: Sequence[str],
    verb: NDArray[np.floating],
    noun: NDArray[np.floating],
    levels: SupervisionLevels,
    *,
    expected: Iterable[str] | None = None,
) -> dict[str, Any]:
    """{"version", "challenge", "sls_*", "results": {narration_id: {"verb": {"0": score, ...}, "noun": {...}}}}.

    `verb` and `noun` are scores [S, classes] of every segment, finite ones.
    """
    _check_complete(narration_ids, expected)
    results = {}
    for name, *scores in zip(narration_ids, verb, noun, strict=True):
        if not all(np.isfinite(one).all() for one in scores):
            raise ValueError(f"segment {name!r} has a score that is not finite")
        results[name] = {
            part: {str(label): float(score) for label, score in enumerate(one)}
            for part, one in zip(("verb", "noun"), scores, strict=True)
        }
    return {"version": VERSION, "challenge": "action_recognition", **levels.entries(), "results": results}


def detection_submission(
    videos: Mapping[str, Sequence[ActionDetection]],
    levels: SupervisionLevels,
    *,
    expected: Iterable[str] | None = None,
) -> dict[str, Any]:
    """{"version", "challenge", "sls_*", "results": {video: [{"verb", "noun", "action", "score", "segment"}]}}.

    Segments are best first; a video without any keeps its empty entry.
    """
    _check_complete(videos, expected)
    results = {
        name: [_detection(name, one) for one in sorted(found, key=lambda one: -one.score)]
        for name, found in videos.items()
    }
    return {"version": VERSION, "challenge": "action_detection", **levels.entries(), "results": results}


def _detection(video: str, one: ActionDetection) -> dict[str, Any]:
    if not math.isfinite(one.score) or not 0 <= one.start < one.end < math.inf or one.verb < 0 or one.noun < 0:
        raise ValueError(f"video {video!r} holds {one}, expected classes, a score, and a start before the end")
    return {
        "verb": int(one.verb),
        "noun": int(one.noun),
        "action": f"{one.verb},{one.noun}",
        "score": float(one.score),
        "segment": [float(one.start), float(one.end)],
    }


def write_submission(path: Path, submission: Mapping[str, Any]) -> None:
    """Write a submission as the server takes it: a zip file with `test.json`; the same one gives the same bytes."""
    text = json.dumps(submission, allow_nan=False, separators=(",", ":"))
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MEMBER, EPOCH), text, zipfile.ZIP_DEFLATED)


def _check_complete(names: Iterable[str], expected: Iterable[str] | None) -> None:
    given = list(names)
    known = set(given)
    if len(known) != len(given):
        raise ValueError(f"{next(name for name in given if given.count(name) > 1)!r} is predicted twice")
    if expected is None:
        return
    wanted = set(expected)
    for problem, rest in (("missing", wanted - known), ("not asked for", known - wanted)):
        if rest:
            raise ValueError(f"{len(rest)} predictions are {problem}, such as {min(rest)!r}")
