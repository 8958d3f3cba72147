"""fho_lta_*.json: the actions of AR and LTA, and the names of their verbs and nouns.

A file that cannot be trusted (missing, cut short, not UTF-8, of another shape or type) ends the run with a UserError
that names file, place and value. What spoils one item alone (an end before its start) is a counted skip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    Without being `timed` an action holds its place in the sequence of its clip, and its labels, but where it lies
    cannot be told.
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
    timed: bool = True


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
    actions = annotations.actions(split, Skips())
    return {"clips": len({action.clip_uid for action in actions}), "actions": len(actions)}


FHO_LTA = Source(
    "fho_lta",
    (*split_files("fho_lta"), layout.TAXONOMY),
    read=lambda annotations, path, skips: read_actions(path, skips, annotations.taxonomy()),
    found=_found,
)
