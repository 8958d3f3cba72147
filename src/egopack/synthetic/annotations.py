"""The annotation rows of the built-in corpus, file by file of Ego4D v1, with the oddities of the real files."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np

from egopack.synthetic.world import FPS, Event, Timeline, World

WINDOW = 8.0  # seconds of an annotated action, and of a state-change window in training
ANNOTATORS, ATTENTION = 3, 0.45  # of the moments that there are, an annotator marks this share
Row = dict[str, Any]


@dataclass(frozen=True)
class Video:
    """One video and its own random generator."""

    uid: str
    split: str
    timeline: Timeline
    clip_uids: tuple[str, ...]  # of its LTA clips
    rng: np.random.Generator
    site: int = 0


def uid(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16)))


def _seconds(value: float) -> float:
    return round(float(value), 7)


def _fho(seconds: float) -> int:
    """Frame of a time as the FHO annotations count it."""
    return floor(seconds * FPS)


def pick(rng: np.random.Generator, count: int, rate: float, least: int = 1) -> list[int]:
    """Positions, in order, of the items that get an oddity: a share `rate` of `count`, at least `least` if above 0."""
    number = min(max(round(rate * count), least), count) if rate > 0 else 0
    return sorted(rng.permutation(count)[:number].tolist())


# --- forecasting: fho_lta_* ------------------------------------------------------------------------------------------


def _action_index(times: np.ndarray, rng: np.random.Generator, rate: float) -> list[int]:
    """`action_idx` of actions sorted by time: the rank, but some neighbors with overlapping segments change places."""
    order = list(range(len(times)))
    close = [i for i in range(len(times) - 1) if times[i + 1] - times[i] < 0.6 * WINDOW]
    for i in pick(rng, len(close), rate):
        order[close[i]], order[close[i] + 1] = order[close[i] + 1], order[close[i]]
    return order


def _clip_bounds(video: Video, clip: int) -> tuple[float, float, float, float]:
    """(clip start, end, interval start, end) in seconds; two clips of three have 8 s around their interval."""
    low, high = video.timeline.intervals[clip]
    pad = WINDOW if video.rng.random() < 0.67 else 0.0
    return (
        _seconds(max(low - pad, 0.0)),
        _seconds(min(high + pad, video.timeline.seconds)),
        _seconds(low),
        _seconds(high),
    )


def actions(video: Video, clip: int, number: int, world: World, rate: float) -> list[Row]:
    """The rows of one LTA clip, shuffled as in the real files."""
    start, end, low, high = _clip_bounds(video, clip)
    events = [event for event in video.timeline.events if event.clip == clip]
    ranks = _action_index(np.array([event.time for event in events]), video.rng, rate)
    rows = []
    for event, rank in zip(events, ranks, strict=True):
        first = _seconds(event.time - WINDOW / 2 + video.rng.uniform(-1.2, 1.2) - start)
        last = _seconds(first + WINDOW)
        row = {
            "video_uid": video.uid, "clip_uid": video.clip_uids[clip], "clip_id": number,
            "clip_parent_start_sec": start, "clip_parent_end_sec": end,
            "clip_parent_start_frame": _fho(start), "clip_parent_end_frame": _fho(end),
            "interval_start_frame": _fho(low), "interval_end_frame": _fho(high),
            "action_clip_start_sec": first, "action_clip_end_sec": last,
            "action_clip_start_frame": _fho(first), "action_clip_end_frame": _fho(last), "action_idx": rank,
        }  # fmt: skip
        if video.split != "test":
            names = {"verb": world.verbs[event.verb], "noun": world.nouns[event.noun]}
            row |= names | {"verb_label": event.verb, "noun_label": event.noun}
        rows.append(row)
    return [rows[i] for i in video.rng.permutation(len(rows))]


# --- state change and point of no return: fho_oscc-pnr_* -------------------------------------------------------------


def _place(video: Video, event: Event, length: float, changes: np.ndarray) -> float | None:
    """Start (s) of a window around an action with its PNR and no other, or with no PNR; None where none fits."""
    rng, anchor = video.rng, event.time if event.pnr is None else event.pnr
    for _ in range(10):
        start = _seconds(anchor - rng.uniform(0.12, 0.88) * length)
        inside = int(((changes > start - 0.3) & (changes < start + length + 0.3)).sum())
        if start >= 0 and start + length <= video.timeline.seconds and inside == (event.pnr is not None):
            return start
    return None


def _window(video: Video, event: Event, start: float, length: float, number: int) -> Row:
    rng, end = video.rng, _seconds(start + length)
    frames = {"parent_start_frame": _fho(start), "parent_end_frame": _fho(end)}
    row: Row = {"clip_id": str(number), "clip_uid": video.clip_uids[event.clip], "video_uid": video.uid}
    if video.split == "test":
        del row["clip_uid"]
        return (
            row
            | {
                "unique_id": f"{uid(rng).replace('-', '')}_{_fho(start)}",
                "parent_start_sec": start,
                "parent_end_sec": end,
            }
            | frames
        )
    row["unique_id"] = f"{uid(rng)}-{start:.2f}-{end:.2f}".replace(".", "_")
    low = _fho(max(video.timeline.intervals[event.clip][0] - WINDOW, 0.0))
    full = {
        "parent_start_sec": start,
        "parent_end_sec": end,
        "clip_start_frame": _fho(start) - low,
        "clip_end_frame": _fho(end) - low,
    }
    if event.pnr is None:  # most of these are short of fields
        short = rng.random() < 0.7
        return row | frames | ({"clip_uid": None} if short else full) | {"state_change": False, "pnr_frame": None}
    pnr = min(max(_fho(event.pnr), frames["parent_start_frame"]), frames["parent_end_frame"] - 1)
    stray = int(rng.integers(-200, 200)) if rng.random() < 0.3 else 0  # clip_pnr_frame is not to be relied upon
    return row | frames | full | {"state_change": True, "clip_pnr_frame": pnr - low + stray, "parent_pnr_frame": pnr}


def windows(video: Video, clip: int, number: int, count: int) -> list[Row]:
    """The windows of one LTA clip: 11 of 20 with a change. They share two `clip_id`s, one for each half of the clip."""
    rng, timeline = video.rng, video.timeline
    events = [event for event in timeline.events if event.clip == clip]
    changes = np.array([event.pnr for event in timeline.events if event.pnr is not None])
    middle = float(np.mean(timeline.intervals[clip]))
    rows = []
    for positive, wanted in ((True, round(0.55 * count)), (False, count - round(0.55 * count))):
        pool = [event for event in events if (event.pnr is not None) == positive]
        for i in rng.permutation(len(pool)):
            length = WINDOW if video.split == "train" else _seconds(rng.uniform(5, 8))
            start = _place(video, pool[i], length, changes) if wanted else None
            if start is not None:
                wanted -= 1
                rows.append(_window(video, pool[i], start, length, number + int(start > middle)))
    return [rows[i] for i in rng.permutation(len(rows))]


def hide_labels(rows: list[Row], rng: np.random.Generator, rate: float) -> None:
    """Make `state_change` null in some rows and missing in others."""
    chosen = pick(rng, len(rows), 2 * rate, least=2)
    for count, i in enumerate(chosen):
        for key in ("clip_pnr_frame", "parent_pnr_frame", "pnr_frame", "state_change"):
            rows[i].pop(key, None)
        if count % 2 == 0:
            rows[i] |= {"state_change": None, "pnr_frame": None}


# --- moments: moments_* ----------------------------------------------------------------------------------------------


def _label(label: str, span: tuple[float, float], offset: float, primary: bool) -> Row:
    """One marked segment; `span` in seconds of the clip, which begins `offset` s into the video."""
    first, last = (_seconds(offset + time) for time in span)
    row: Row = {"label": label, "start_time": span[0], "end_time": span[1], "primary": primary}
    row |= {"video_start_time": first, "video_end_time": last}
    return row | {"video_start_frame": round(first * FPS), "video_end_frame": round(last * FPS)}


def _mark(label: str, start: float, end: float, length: float, rate: float, video: Video, offset: float) -> Row:
    """What one annotator marks for a moment; `start` and `end` in seconds of a clip of `length` s."""
    rng = video.rng
    near, far = np.array([start, end]) + 0.03 * (end - start) * rng.standard_normal(2)
    over = 0.02 if rng.random() < 0.5 else 0.0  # where a moment outlives the clip, its end may lie just past the clip's
    times = [round(float(max(near, 0.0)), 2), _seconds(length + over) if far >= length else round(float(far), 2)]
    first, last = (int(t) if t == int(t) or (rng.random() < rate and t - int(t) < 0.5) else t for t in times)
    return _label(label, (first, last), offset, bool(rng.random() < 0.93))


def _annotations(video: Video, world: World, offset: float, length: float, rate: float) -> list[Row]:
    """What three annotators marked in a clip of `length` s; a few times they agree to the frame."""
    rng = video.rng
    annotators: list[Row] = [
        {"annotator_uid": str(int(rng.integers(10, 900))), "labels": []} for _ in range(ANNOTATORS)
    ]
    for label, start, end in video.timeline.moments:
        start, end = start - offset, end - offset
        if min(end, length) - max(start, 0.0) < 0.5 * (end - start):
            continue
        marked: Row | None = None
        for annotator in annotators:
            if rng.random() > ATTENTION:
                continue
            if marked is None or rng.random() > 2 * rate:
                marked = _mark(world.moments[label], start, end, length, rate, video, offset)
            annotator["labels"].append(dict(marked))
    return annotators


def moments_clip(video: Video, world: World, rate: float, early: bool) -> Row:
    """One clip of at most 480 s; `early`: it begins before its video does."""
    rng, total = video.rng, video.timeline.seconds
    offset = round(-rng.uniform(0.02, 1.2) if early else rng.uniform(0, max(total - 480, min(6.0, 0.1 * total))), 2)
    end = _seconds(min(offset + 480, total - rng.uniform(0, 0.02 * total)))
    row: Row = {
        "clip_uid": uid(rng), "source_clip_uid": uid(rng), "video_start_sec": offset, "video_end_sec": end,
        "video_start_frame": round(offset * FPS), "video_end_frame": round(end * FPS),
        "clip_start_sec": 0, "clip_end_sec": _seconds(end - offset),
    }  # fmt: skip
    if video.split != "test":
        row["annotations"] = _annotations(video, world, offset, row["clip_end_sec"], rate)
    return row


def spoil_moments(clips: list[Row], rng: np.random.Generator, rate: float) -> None:
    """Add what every file of moments has: zero-length rows, exact copies, rows not used, an end past the clip."""
    labels = [(clip, who, row) for clip in clips for who, a in enumerate(clip["annotations"]) for row in a["labels"]]
    for i in pick(rng, len(labels), 0.25 * rate):
        clip, who, row = labels[i]
        span = (row["start_time"], row["start_time"])
        clip["annotations"][who]["labels"].append(_label(row["label"], span, clip["video_start_sec"], row["primary"]))
    for i in pick(rng, len(labels), 0.25 * rate):
        clip, who, row = labels[i]
        row["primary"] = True
        clip["annotations"][(who + 1) % ANNOTATORS]["labels"].append(dict(row))
    for i in pick(rng, len(labels), 0.1 * rate):
        labels[i][2]["primary"] = False
    if rate > 0 and labels:
        clip, _, row = min(labels, key=lambda item: item[0]["clip_end_sec"] - item[2]["end_time"])
        span = (row["start_time"], _seconds(clip["clip_end_sec"] + 0.02))
        row |= _label(row["label"], span, clip["video_start_sec"], row["primary"])


# --- narration.json --------------------------------------------------------------------------------------------------


def _narration(video: Video, world: World) -> Row:
    """Two passes over the actions, not sorted by time."""
    entry: Row = {"status": "complete"}
    for number in (1, 2):
        said = []
        for i in video.rng.permutation(len(video.timeline.events)):
            event = video.timeline.events[i]
            at = _seconds(max(event.time + video.rng.normal(0, 0.4), 0.0))
            text = f"#C C {world.verbs[event.verb].split('_')[0]}s the {world.nouns[event.noun].split('_')[0]} "
            row = {"timestamp_sec": at, "timestamp_frame": round(at * FPS), "narration_text": text}
            said.append(row | {"annotation_uid": uid(video.rng)})
        entry[f"narration_pass_{number}"] = {"narrations": said, "summaries": []}
    return entry


def narrations(videos: list[Video], world: World, rng: np.random.Generator, rate: float) -> Row:
    """narration.json: a pass is missing here and there, and so is a whole video."""
    table = {video.uid: _narration(video, world) for video in videos}
    uids = list(table)
    for count, i in enumerate(pick(rng, len(uids), 2 * rate, least=3)):
        if count == 2:
            table.pop(uids[i])
        else:
            table[uids[i]].pop(f"narration_pass_{1 + count % 2}")
    return table
