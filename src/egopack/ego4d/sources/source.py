"""What a source of annotations declares: its files, their reader, and how its items are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from egopack.ego4d.agreement import Twice
from egopack.ego4d.layout import SPLITS
from egopack.ego4d.skips import Skips

if TYPE_CHECKING:
    from egopack.ego4d.annotations import Annotations

Record = TypeVar("Record")
Counts = dict[str, int]  # kind of item -> how many, usable or not


def split_files(name: str) -> tuple[str, ...]:
    """The JSON file of each split."""
    return tuple(f"{name}_{split}.json" for split in SPLITS)


def nothing_twice(annotations: Annotations, split: str, fps: float) -> list[Twice]:
    """Of a source that gives nothing twice."""
    return []


def no_items(annotations: Annotations, split: str) -> Counts:
    """Of a source whose items are not counted."""
    return {}


@dataclass(frozen=True)
class Source(Generic[Record]):
    """One source of annotations, as `annotations` of a task's block names it.

    files: what it needs under <root>/annotations/<version>; a task depends on those of its source and no others
    optional: what it reads when it is there, under <root>/annotations
    read: the records of the file of a split, in file order; what is spoilt is counted as skipped
    found: how many items of each kind a split lists
    twice: what the file of a split gives twice, with `fps` frames a second
    """

    name: str
    files: tuple[str, ...]
    optional: tuple[str, ...] = ()
    read: Callable[[Annotations, Path, Skips], list[Record]] | None = None
    found: Callable[[Annotations, str], Counts] = no_items
    twice: Callable[[Annotations, str, float], list[Twice]] = nothing_twice
