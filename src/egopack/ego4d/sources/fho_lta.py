"""fho_lta_*.json: the actions of AR and LTA, and the names of their verbs and nouns.

A file that cannot be trusted (missing, cut short, not UTF-8, of another shape or type) ends the run with a UserError
that names file, place and value. What spoils one item alone (an end before its start) is a counted skip.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from egopack.ego4d import layout
from egopack.ego4d.json_reader import Item, encodable, read_object, wrong
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.source import Counts, Source, split_files
from egopack.labels import UNLABELLED

if TYPE_CHECKING:
    from egopack.ego4d.annotations import Annotations


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


def _found(annotations: Annotations, split: str) -> Counts:
    skips = Skips()
    actions = annotations.actions(split, skips)
    return {"clips": len({action.clip_uid for action in actions}), "actions": len(actions) + len(skips)}


FHO_LTA = Source(
    "fho_lta",
    (*split_files("fho_lta"), layout.TAXONOMY),
    read=lambda annotations, path, skips: read_actions(path, skips, annotations.taxonomy()),
    found=_found,
)
