"""Records read from the annotation JSON: checked at the door, typed and in parent-video frames ever after.

A file that cannot be trusted (missing, cut short, not UTF-8, of another shape or type) ends the run with a UserError
that names file, place and value. What spoils one item alone (an end before its start) is a counted skip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from egopack.ego4d import layout
from egopack.ego4d.json_reader import Item, encodable, read_object, read_text, wrong
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.labels import UNLABELLED

SPOILT_MOMENT = "moment of no length"


@dataclass(frozen=True, slots=True)
class Action:
    """One row of fho_lta_*; all frames are of the parent video.

    `start` and `end` may lie outside of the clip. `verb` and `noun` are ids (-1: no label), None on the test split.
    """

    video_uid: str
    clip_uid: str
    clip_start: int
    clip_end: int
    start: int
    end: int
    action_idx: int
    verb: int | None
    noun: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """One row of fho_oscc-pnr_*; frames of the parent video; `state_change` and `pnr` are None where unknown."""

    video_uid: str
    clip_id: str
    unique_id: str
    start: int
    end: int
    state_change: bool | None
    pnr: int | None


@dataclass(frozen=True, slots=True)
class Moment:
    """One labelled segment, in frames of the parent video."""

    label: str
    start: int
    end: int
    primary: bool


@dataclass(frozen=True, slots=True)
class MomentsClip:
    """One clip of moments_*, in frames and seconds of the parent video; `start` can be negative."""

    video_uid: str
    clip_uid: str
    start: int
    end: int
    start_s: float
    end_s: float
    moments: tuple[Moment, ...]
    annotated: bool  # false on the test split


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Names of verbs and nouns; the index is the label id."""

    verbs: tuple[str, ...]
    nouns: tuple[str, ...]


def read_actions(path: Path | str, skips: Skips, taxonomy: Taxonomy | None = None) -> list[Action]:
    """Actions of an fho_lta_* file, in file order; the test split has no labels.

    Skipped: an action or clip that ends before it starts; with a `taxonomy`, a label that it lacks, but for -1.
    Raises UserError for a file of another shape.
    """
    top = read_object(path)
    labelled = not top.file.stem.endswith(layout.SPLITS[-1])
    actions = []
    for item in top.items("clips"):
        clip_start, clip_end = item.frame("clip_parent_start_frame"), item.frame("clip_parent_end_frame")
        action = Action(
            video_uid=item.uid("video_uid"),
            clip_uid=item.uid("clip_uid"),
            clip_start=clip_start,
            clip_end=clip_end,
            start=clip_start + item.frame("action_clip_start_frame"),
            end=clip_start + item.frame("action_clip_end_frame"),
            action_idx=item.frame("action_idx"),
            verb=item.label("verb_label") if labelled else None,
            noun=item.label("noun_label") if labelled else None,
        )
        reason = _spoilt_action(action, taxonomy)
        if reason:
            skips.add(reason, item.name())
        else:
            actions.append(action)
    return actions


def _spoilt_action(action: Action, taxonomy: Taxonomy | None) -> str:
    if action.end <= action.start:
        return "action that ends before it starts"
    if action.clip_end <= action.clip_start:
        return "action in a clip that ends before it starts"
    if taxonomy is None or action.verb is None or action.noun is None:
        return ""
    if not UNLABELLED <= action.verb < len(taxonomy.verbs):
        return "action with a verb that the taxonomy lacks"
    if not UNLABELLED <= action.noun < len(taxonomy.nouns):
        return "action with a noun that the taxonomy lacks"
    return ""


def read_windows(path: Path | str, skips: Skips) -> list[Window]:
    """Windows of an fho_oscc-pnr_* file, in file order; skipped: those that end before they start."""
    windows = []
    for item in read_object(path).items("clips"):
        if type(item.data.get("clip_id")) is int:  # a text in this file, an int in fho_lta_*: either will do
            item.data["clip_id"] = str(item.data["clip_id"])
        window = Window(
            video_uid=item.uid("video_uid"),
            clip_id=item.text("clip_id"),
            unique_id=item.text("unique_id"),
            start=item.frame("parent_start_frame"),
            end=item.frame("parent_end_frame"),
            state_change=None if item.data.get("state_change") is None else item.flag("state_change"),
            pnr=None if item.data.get("parent_pnr_frame") is None else item.frame("parent_pnr_frame"),
        )
        if window.end <= window.start:
            skips.add("window that ends before it starts", item.name())
        else:
            windows.append(window)
    return windows


def read_moments(path: Path | str, skips: Skips) -> list[MomentsClip]:
    """Clips of a moments_* file with the segments of all annotators, in file order.

    Skipped: a clip, or a segment (zero-length rows occur), that ends before it starts.
    """
    clips = []
    for video in read_object(path).items("videos"):
        video_uid = video.uid("video_uid")
        for item in video.items("clips"):
            clip = MomentsClip(
                video_uid=video_uid,
                clip_uid=item.uid("clip_uid"),
                start=item.frame("video_start_frame"),
                end=item.frame("video_end_frame"),
                start_s=item.seconds("video_start_sec"),
                end_s=item.seconds("video_end_sec"),
                moments=tuple(_moments(item, skips)),
                annotated=item.data.get("annotations") is not None,
            )
            if clip.end <= clip.start or clip.end_s <= clip.start_s:
                skips.add("clip that ends before it starts", item.name())
            else:
                clips.append(clip)
    return clips


def _moment_rows(clip: Item) -> Iterator[Item]:
    if clip.data.get("annotations") is None:
        return
    for annotator in clip.items("annotations"):
        yield from annotator.items("labels")


def _moments(clip: Item, skips: Skips) -> Iterator[Moment]:
    for row in _moment_rows(clip):
        start, end = row.frame("video_start_frame"), row.frame("video_end_frame")
        moment = Moment(row.text("label"), start, end, row.flag("primary"))
        if end > start:
            yield moment
        else:
            skips.add(SPOILT_MOMENT, row.name())


def read_taxonomy(path: Path | str) -> Taxonomy:
    """Verb and noun names; UserError where a list is empty or holds anything but texts."""
    top = read_object(path)
    return Taxonomy(verbs=_names(top, "verbs"), nouns=_names(top, "nouns"))


def _names(top: Item, key: str) -> tuple[str, ...]:
    names = top.data.get(key)
    if type(names) is not list or not names:
        raise top.wrong(key, "a list of names")
    for i, name in enumerate(names):
        if type(name) is not str or not encodable(name):
            raise wrong(top.file, f"{key}[{i}]", name, "a text")
    return tuple(names)


def read_moment_labels(root: Path | str, version: str) -> tuple[str, ...]:
    """Moment classes, index = id: those of mq_labels.tsv, else the sorted distinct primary labels of train and val.

    Spelt as in the JSON, quotes included. Raises UserError for a malformed or repeated line.
    """
    path = layout.moment_labels_file(root)
    if path.exists():
        return _read_label_lines(path)
    labels: set[str] = set()
    for split in layout.SPLITS[:2]:
        for video in read_object(layout.annotation_file(root, version, "moments", split)).items("videos"):
            for clip in video.items("clips"):
                labels.update(row.text("label") for row in _moment_rows(clip) if row.flag("primary"))
    return tuple(sorted(labels))


def _read_label_lines(path: Path) -> tuple[str, ...]:
    names: dict[int, str] = {}
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        id_, tab, name = line.removesuffix("\r").partition("\t")
        if not tab or not name or not (id_.isascii() and id_.isdigit()):
            raise UserError(f"{path}: line {number} is {line[:60]!r}, expected an id, a tab and a label")
        if int(id_) in names or name in names.values():
            raise UserError(f"{path}: line {number} repeats {line[:60]!r}, expected each id and label once")
        names[int(id_)] = name
    if sorted(names) != list(range(len(names))) or not names:
        raise UserError(f"{path}: ids are not 0 ... {len(names) - 1}, expected each of them once")
    return tuple(names[i] for i in range(len(names)))
