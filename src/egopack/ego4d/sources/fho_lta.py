"""fho_lta_*.json: the actions of AR and LTA, and the names of their verbs and nouns.

A file that cannot be trusted (missing, cut short, not UTF-8, of another shape or type) ends the run with a UserError
that names file, place and value. What spoils one item alone (an end before its start) is a counted skip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from egopack.ego4d import layout
from egopack.ego4d.agreement import Twice, end_in_video, frames_fit, is_number, same_split
from egopack.ego4d.json_reader import Item, encodable, read_object, wrong
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.source import Counts, Source, split_files
from egopack.ego4d.sources.videos import VIDEOS
from egopack.labels import UNLABELLED

if TYPE_CHECKING:
    from egopack.ego4d.annotations import Annotations

NOTHING = ("none",)


@dataclass(frozen=True, slots=True)
class Action:
    """One row of fho_lta_*; all frames are of the parent video, and whole but in footage of one's own.

    `start` and `end` may lie outside of the clip. `verb` and `noun` are ids (-1: no label), None on the test split.
    Without being `timed` an action holds its place in the sequence of its clip, and its labels, but where it lies
    cannot be told. `name` is under what its prediction is submitted, where a source has names of actions.
    """

    video_uid: str
    clip_uid: str
    clip_start: float
    clip_end: float
    start: float
    end: float
    action_idx: int
    verb: int | None
    noun: int | None
    timed: bool = True
    name: str = ""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Names of verbs and nouns; the index is the label id."""

    verbs: tuple[str, ...]
    nouns: tuple[str, ...]


def read_actions(path: Path | str, skips: Skips, taxonomy: Taxonomy | None = None) -> list[Action]:
    """All actions of an fho_lta_* file, in file order; the test split has no labels.

    None is left out, since those after it would move in the sequence of its clip. Counted in `skips`: one that ends
    before it starts, or whose clip does, which is not timed; with a `taxonomy`, a label that it lacks, which is -1.
    Raises UserError for a file of another shape.
    """
    top = read_object(path)
    labelled = not top.file.stem.endswith(layout.TEST)
    items = list(top.items("clips"))
    # a file of verbs alone has no noun anywhere, and the other way round; one that lacks both is not whole
    lacks = {part: not any(item.data.get(f"{part}_label") is not None for item in items) for part in ("verb", "noun")}
    if all(lacks.values()):
        lacks = dict.fromkeys(lacks, False)

    def label(item: Item, part: str) -> int | None:
        return None if not labelled else UNLABELLED if lacks[part] else item.label(f"{part}_label")

    actions = []
    for item in items:
        clip_start, clip_end = item.frame("clip_parent_start_frame"), item.frame("clip_parent_end_frame")
        action = Action(
            video_uid=item.uid("video_uid"),
            clip_uid=item.uid("clip_uid"),
            clip_start=clip_start,
            clip_end=clip_end,
            start=clip_start + item.frame("action_clip_start_frame"),
            end=clip_start + item.frame("action_clip_end_frame"),
            action_idx=item.frame("action_idx"),
            verb=label(item, "verb"),
            noun=label(item, "noun"),
        )
        actions.append(_checked(action, taxonomy, skips, item.name()))
    return actions


def _checked(action: Action, taxonomy: Taxonomy | None, skips: Skips, item: str) -> Action:
    """The action without what cannot be used of it."""
    if action.end <= action.start:
        skips.add("action that ends before it starts", item)
        action = replace(action, timed=False)
    elif action.clip_end <= action.clip_start:
        skips.add("action in a clip that ends before it starts", item)
        action = replace(action, timed=False)
    if taxonomy is None:
        return action
    if action.verb is not None and not UNLABELLED <= action.verb < len(taxonomy.verbs):
        skips.add("action with a verb that the taxonomy lacks", item)
        action = replace(action, verb=UNLABELLED)
    if action.noun is not None and not UNLABELLED <= action.noun < len(taxonomy.nouns):
        skips.add("action with a noun that the taxonomy lacks", item)
        action = replace(action, noun=UNLABELLED)
    return action


def read_taxonomy(path: Path | str) -> Taxonomy:
    """Verb and noun names; UserError where both lists are empty or one holds anything but texts.

    Of verbs or nouns alone, the others are one class that no action has.
    """
    top = read_object(path)
    empty = [part for part in ("verbs", "nouns") if top.data.get(part) in (None, [])]
    if len(empty) == 2:
        raise top.wrong("verbs", "a list of names")
    verbs, nouns = (NOTHING if part in empty else _names(top, part) for part in ("verbs", "nouns"))
    return Taxonomy(verbs, nouns)


def _names(top: Item, key: str) -> tuple[str, ...]:
    names = top.data.get(key)
    if type(names) is not list or not names:
        raise top.wrong(key, "a list of names")
    for i, name in enumerate(names):
        if type(name) is not str or not encodable(name):
            raise wrong(top.file, f"{key}[{i}]", name, "a text")
    return tuple(names)


def _found(annotations: Annotations, split: str) -> Counts:
    actions = annotations.actions(split, Skips())
    return {"clips": len({action.clip_uid for action in actions}), "actions": len(actions)}


def _twice(annotations: Annotations, split: str, fps: float) -> list[Twice]:
    top = read_object(layout.annotation_file(annotations.root, annotations.version, "fho_lta", split))
    name, taxonomy, footage = top.file.name, annotations.taxonomy(), annotations.footage()
    times = Twice("seconds", f"frames and seconds of {name}", slack=2 / fps, cause=frames_fit(fps))
    ends = Twice("ends", f"ends of the clips of {name} and of their videos in {VIDEOS}", slack=2 / fps)
    names = Twice(
        "names", f"names and ids of verbs and nouns in {name}, by {layout.TAXONOMY}", "", cause=_other_version
    )
    splits = Twice("splits", f"split of {name} and what it, {VIDEOS} or another file say", "")
    clips: dict[str, str] = {}
    for item in top.items("clips"):
        row, place = item.data, item.name()
        for edge in ("clip_parent_start", "clip_parent_end", "action_clip_start", "action_clip_end"):
            frame = row.get(f"{edge}_frame")
            times.add(f"{place}.{edge}", frame / fps if is_number(frame) else None, row.get(f"{edge}_sec"))
        video = footage.get(str(row.get("video_uid")))
        if clips.setdefault(str(row.get("clip_uid")), place) == place:
            end_in_video(ends, place, row.get("clip_parent_end_sec"), video.seconds if video else None)
            if video and "fho" in video.splits:
                splits.add_same(f"{place}: {VIDEOS} says {video.splits['fho']}", same_split(video.splits["fho"], split))
        for part, known in (("verb", taxonomy.verbs), ("noun", taxonomy.nouns)):
            word, label = row.get(part), row.get(f"{part}_label")
            if type(word) is str and type(label) is int and 0 <= label < len(known):
                names.add_same(f"{place}: {part} {word!r} has the id of {known[label]!r}", word == known[label])
    if "split" in top.data:
        splits.add_same(f"{name}: split is {top.data['split']!r}", same_split(top.data["split"], split))
    for other in layout.SPLITS[: layout.SPLITS.index(split)]:
        known_uids = {action.clip_uid for action in annotations.actions(other, Skips())}
        for uid in clips:
            splits.add_same(f"clip {uid} is in {other} too", uid not in known_uids)
    return [times, ends, names, splits]


def _other_version(ratio: float) -> str:
    return "labels of another version than the taxonomy's"


FHO_LTA = Source(
    "fho_lta",
    (*split_files("fho_lta"), layout.TAXONOMY),
    read=lambda annotations, path, skips: read_actions(path, skips, annotations.taxonomy()),
    found=_found,
    twice=_twice,
)
