"""The four challenge formats, built from plain predictions and checked: a server says less about what is wrong.

Each function returns what `egopack.files.write_json` writes. All raise ValueError for predictions that do not fit.
`expected` is what the test split asks for: with it, a missing or superfluous entry is an error too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Segment = tuple[str, float, tuple[float, float]]  # label, score, (start, end) in seconds from the clip's start


def lta_submission(
    entries: Mapping[str, tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]],
    *,
    expected: Iterable[str] | None = None,
    sequences: int = 5,
    steps: int = 20,
) -> dict[str, dict[str, list[list[int]]]]:
    """{"<clip_uid>_<last observed action_idx>": {"verb": [[`steps` ints] x `sequences`], "noun": ...}}."""
    out = {}
    for key, labels in entries.items():
        clip, _, index = key.rpartition("_")
        if not clip or not index.isdecimal():
            raise ValueError(f"LTA entry {key!r} is not <clip_uid>_<last observed action_idx>")
        verb, noun = (_sequences(key, value, sequences, steps) for value in labels)
        out[key] = {"verb": verb, "noun": noun}
    _check_complete(out, expected)
    return out


def _sequences(key: str, labels: Sequence[Sequence[int]], sequences: int, steps: int) -> list[list[int]]:
    out = [[int(label) for label in row] for row in labels]
    if len(out) != sequences or any(len(row) != steps for row in out):
        shape = f"{len(out)} sequences of {sorted({len(row) for row in out})} steps"
        raise ValueError(f"LTA entry {key!r} has {shape}, expected {sequences} of {steps}")
    for row, given in zip(out, labels, strict=True):
        for label, value in zip(row, given, strict=True):
            if label < 0 or label != value:
                raise ValueError(f"LTA entry {key!r} holds {value!r}, expected label ids")
    return out


def oscc_submission(
    predictions: Iterable[tuple[str, bool]], *, expected: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """[{"unique_id": "..", "state_change": true}], in the order given."""
    out: list[dict[str, Any]] = [
        {"unique_id": unique_id, "state_change": bool(change)} for unique_id, change in predictions
    ]
    _check_complete([entry["unique_id"] for entry in out], expected)
    return out


def pnr_submission(
    predictions: Iterable[tuple[str, float]], *, expected: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """[{"unique_id": "..", "pnr_frame": 37.5}], in the order given; frames from the window's start."""
    out: list[dict[str, Any]] = [
        {"unique_id": unique_id, "pnr_frame": float(frame)} for unique_id, frame in predictions
    ]
    for entry in out:
        if not 0 <= entry["pnr_frame"] < math.inf:
            raise ValueError(f"PNR entry {entry['unique_id']!r} is frame {entry['pnr_frame']}, expected one from 0 on")
    _check_complete([entry["unique_id"] for entry in out], expected)
    return out


def mq_submission(clips: Mapping[str, Sequence[Segment]], *, expected: Iterable[str] | None = None) -> dict[str, Any]:
    """{"version", "challenge", "detect_results": {clip: [segments]}, "retrieve_results": {clip: {label: [segments]}}}.

    A segment is {"label", "score", "segment": [start, end]} in seconds from the clip's start, best first; a clip
    without any keeps its empty entry.
    """
    _check_complete(clips, expected)
    detected: dict[str, list[dict[str, Any]]] = {}
    by_label: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for clip, segments in clips.items():
        found = sorted((_segment(clip, segment) for segment in segments), key=lambda entry: -entry["score"])
        detected[clip] = found
        groups = by_label.setdefault(clip, {})
        for entry in found:
            groups.setdefault(entry["label"], []).append(entry)
    return {
        "version": "1.0",
        "challenge": "ego4d_moment_queries",
        "detect_results": detected,
        "retrieve_results": by_label,
    }


def _segment(clip: str, segment: Segment) -> dict[str, Any]:
    label, score, (start, end) = segment
    score, start, end = float(score), float(start), float(end)
    if not isinstance(label, str) or not math.isfinite(score) or not 0 <= start < end < math.inf:
        raise ValueError(f"MQ clip {clip!r} holds {segment!r}, expected (label, score, (start, end)), start before end")
    return {"label": label, "score": score, "segment": [start, end]}


def _check_complete(names: Iterable[str], expected: Iterable[str] | None) -> None:
    given = list(names)
    if len(set(given)) != len(given):
        raise ValueError(f"{next(name for name in given if given.count(name) > 1)!r} is predicted twice")
    if expected is None:
        return
    wanted = set(expected)
    for problem, names_ in (("missing", wanted - set(given)), ("not asked for", set(given) - wanted)):
        if names_:
            raise ValueError(f"{len(names_)} predictions are {problem}, such as {min(names_)!r}")
