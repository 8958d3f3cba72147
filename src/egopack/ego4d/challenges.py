"""What the challenge servers take for the unannotated split: the form as JSON schema, and every key that is asked for.

Keys are read from the annotation file itself, not from samples, so that what samples leave out is found missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egopack.ego4d.json_reader import Item, read_object
from egopack.errors import UserError

OBSERVED, STEPS, SEQUENCES = 2, 20, 5  # of LTA's challenge
MOST_NAMED, LONG = 3, 150  # keys, and letters, that a message has


@dataclass(frozen=True)
class Challenge:
    """`source` is the annotations of its split, `asked` the keys that a file of them asks for, `given` those that a
    submission has, `schema` what it looks like.
    """

    source: str
    schema: dict[str, Any]
    asked: Callable[[Item], Iterable[str]]
    given: Callable[[Any], Iterable[str]]

    def check(self, submission: Any, annotations: Path, name: str) -> int:
        """How many entries the submission `name` has.

        Raises:
            UserError: it has another form, a key twice, or other keys than the annotation file asks for.
        """
        from jsonschema import Draft202012Validator

        for error in Draft202012Validator(self.schema).iter_errors(submission):
            place = ".".join(map(str, error.absolute_path)) or "the top level"
            said = (
                error.message if len(error.message) < LONG else f"... {error.message[-LONG:]}"
            )  # it begins with values
            raise UserError(f"{name}: {place}: {said}")
        asked, given = set(self.asked(read_object(annotations))), list(self.given(submission))
        if len(set(given)) < len(given):
            raise UserError(f"{name}: {len(given) - len(set(given))} keys are there twice")
        for what, keys in (("missing", asked - set(given)), ("not asked for", set(given) - asked)):
            if keys:
                shown = ", ".join(sorted(keys)[:MOST_NAMED])
                raise UserError(f"{name}: {len(keys)} of {len(asked)} keys of {annotations.name} are {what}: {shown}")
        return len(given)


def _lta_keys(top: Item) -> Iterable[str]:
    """<clip_uid>_<last observed action_idx>, for every position with all steps ahead."""
    clips: dict[str, set[int]] = {}
    for item in top.items("clips"):
        clips.setdefault(item.uid("clip_uid"), set()).add(item.frame("action_idx"))
    for clip, places in clips.items():
        order = sorted(places)
        for first in range(len(order) - OBSERVED - STEPS):
            yield f"{clip}_{order[first + OBSERVED - 1]}"


def _window_keys(top: Item) -> Iterable[str]:
    return (item.text("unique_id") for item in top.items("clips"))


def _moment_keys(top: Item) -> Iterable[str]:
    return (clip.uid("clip_uid") for video in top.items("videos") for clip in video.items("clips"))


def _unique_ids(submission: Any) -> Iterable[str]:
    return [entry["unique_id"] for entry in submission]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """An object of just these."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _each(schema: dict[str, Any], keys: str = ".") -> dict[str, Any]:
    """An object whose keys match and whose values are of a schema."""
    return {"type": "object", "propertyNames": {"pattern": keys}, "additionalProperties": schema}


_TEXT = {"type": "string", "minLength": 1}
_SECONDS = {"type": "number", "minimum": 0}
_LABELS = {"type": "array", "minItems": STEPS, "maxItems": STEPS, "items": {"type": "integer", "minimum": 0}}
_DRAWN = {"type": "array", "minItems": SEQUENCES, "maxItems": SEQUENCES, "items": _LABELS}
_SEGMENT = {"type": "array", "minItems": 2, "maxItems": 2, "items": _SECONDS}
_SEGMENTS = {"type": "array", "items": _object({"label": _TEXT, "score": {"type": "number"}, "segment": _SEGMENT})}

LTA = Challenge("fho_lta", _each(_object({"verb": _DRAWN, "noun": _DRAWN}), "^.+_[0-9]+$"), _lta_keys, lambda one: one)
OSCC = Challenge(
    "fho_oscc-pnr",
    {"type": "array", "items": _object({"unique_id": _TEXT, "state_change": {"type": "boolean"}})},
    _window_keys,
    _unique_ids,
)
PNR = Challenge(
    "fho_oscc-pnr",
    {"type": "array", "items": _object({"unique_id": _TEXT, "pnr_frame": _SECONDS})},
    _window_keys,
    _unique_ids,
)
MQ = Challenge(
    "moments",
    _object(
        {
            "version": {"const": "1.0"},
            "challenge": {"const": "ego4d_moment_queries"},
            "detect_results": _each(_SEGMENTS),
            "retrieve_results": _each(_each(_SEGMENTS)),
        }
    ),
    _moment_keys,
    lambda one: one["detect_results"],
)
