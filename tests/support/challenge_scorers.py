"""Scorers of the four challenges from the files alone, as a server has them: a submission and the annotations.

They share no code with the project.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

FPS = 30.0


def oscc(submission: list[dict[str, Any]], truth: dict[str, Any]) -> float:
    """Accuracy in percent over windows whose state is known."""
    known = {row["unique_id"]: row["state_change"] for row in truth["clips"] if row.get("state_change") is not None}
    given = {row["unique_id"]: row["state_change"] for row in submission}
    return 100 * sum(given[key] == value for key, value in known.items()) / len(known)


def pnr(submission: list[dict[str, Any]], truth: dict[str, Any]) -> float:
    """Mean error in seconds over windows with a state change."""
    given = {row["unique_id"]: row["pnr_frame"] for row in submission}
    errors = [
        abs(given[row["unique_id"]] - (row["parent_pnr_frame"] - row["parent_start_frame"])) / FPS
        for row in truth["clips"]
        if row.get("state_change") and row.get("parent_pnr_frame") is not None
    ]
    return sum(errors) / len(errors)


def lta(submission: dict[str, Any], truth: dict[str, Any], part: str, steps: int = 20) -> float:
    """Edit distance of the best of five sequences, over the steps, mean over entries."""
    clips: dict[str, dict[int, int]] = defaultdict(dict)
    for row in truth["clips"]:
        clips[row["clip_uid"]][row["action_idx"]] = row[f"{part}_label"]
    found = []
    for key, drawn in submission.items():
        clip, _, last = key.rpartition("_")
        future = [label for index, label in sorted(clips[clip].items()) if index > int(last)][:steps]
        found.append(min(distance(one, future) for one in drawn[part]) / steps)
    return sum(found) / len(found)


def distance(one: list[int], other: list[int]) -> int:
    """Levenshtein's."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row = row, [i]
        for j, b in enumerate(other, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


def mq(submission: dict[str, Any], truth: dict[str, Any]) -> float:
    """Mean over tIoU 0.1 ... 0.5 of mAP, in percent."""
    wanted: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for video in truth["videos"]:
        for clip in video["clips"]:
            rows = [row for one in clip["annotations"] for row in one["labels"] if row["primary"]]
            start = clip["video_start_frame"]
            for first, last, label in dict.fromkeys(
                (row["video_start_frame"], row["video_end_frame"], row["label"]) for row in rows
            ):
                if last > first:
                    wanted[label].append((clip["clip_uid"], (first - start) / FPS, (last - start) / FPS))
    given: dict[str, list[tuple[float, str, float, float]]] = defaultdict(list)
    for clip_uid, segments in submission["detect_results"].items():
        for one in segments:
            given[one["label"]].append((one["score"], clip_uid, *one["segment"]))
    maps = []
    for tiou in (0.1, 0.2, 0.3, 0.4, 0.5):
        maps.append(sum(_precision(wanted[label], given[label], tiou) for label in wanted) / len(wanted))
    return 100 * sum(maps) / len(maps)


def _precision(
    wanted: list[tuple[str, float, float]], given: list[tuple[float, str, float, float]], tiou: float
) -> float:
    """Interpolated average precision of one class."""
    taken: set[int] = set()
    hits = []
    for _, clip, start, end in sorted(given, key=lambda one: -one[0]):
        best = max(
            ((_overlap((start, end), one[1:]), n) for n, one in enumerate(wanted) if one[0] == clip and n not in taken),
            default=(0.0, -1),
        )
        hits.append(best[0] >= tiou)
        taken |= {best[1]} if hits[-1] else set()
    total, right, curve = 0.0, 0, []
    for count, hit in enumerate(hits, start=1):
        right += hit
        curve.append((right / len(wanted), right / count))
    before = 0.0
    for n, (recall, _) in enumerate(curve):
        if recall > before:
            total += (recall - before) * max(precision for _, precision in curve[n:])
            before = recall
    return total


def _overlap(one: tuple[float, float], other: tuple[float, ...]) -> float:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(shared, 0.0) / ((one[1] - one[0]) + (other[1] - other[0]) - max(shared, 0.0))
