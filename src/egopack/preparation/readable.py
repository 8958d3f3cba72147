"""What can be read of annotations, told to who writes a task: sources, the ways to read them, and the records' fields.

All of it is asked of the code itself, so a reader that is added is told of.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_type_hints

from egopack.ego4d.annotations import Annotations
from egopack.ego4d.sources.table import SOURCES
from egopack.footage.sources import EGO4D
from egopack.params import DataParams

WIDTH, INDENT = 100, " " * 6  # of texts


def readable(data: DataParams) -> str:
    """The sources that `annotations` of a task's block can name, then every method of a task's annotations that gives
    records or names, then each kind of record with the names and types of its fields.
    """
    text = f"annotations of a task's block, where data.source is {data.source}:\n"
    for name, source in _sources(data):
        text += f"  {name:14}  {source}\n"
    text += "\nwhat from_annotations reads by source.annotations:\n"
    records: dict[type, None] = {}
    for name, method in _readers():
        found = get_type_hints(method)["return"]
        arguments = ", ".join(list(inspect.signature(method).parameters)[1:])
        text += f"  {name}({arguments}) -> {_spelled(found)}\n{_indented(_summary(method))}"
        records |= dict.fromkeys(_records(found))
    text += "\nrecords, frames and seconds being those of the whole video:\n"
    for record in records:
        hints = get_type_hints(record)
        told = ", ".join(f"{one.name} {_spelled(hints[one.name])}" for one in fields(record))
        text += f"  {record.__name__}: {_indented(told).lstrip()}{_indented(_summary(record))}"
    return text


def _sources(data: DataParams) -> Iterator[tuple[str, str]]:
    """Each source with what it is read from."""
    if data.source == EGO4D:
        for source in SOURCES.values():
            yield source.name, ", ".join(source.files)
        return
    from egopack.footage.annotations import FAMILIES

    for family, columns in FAMILIES.items():
        yield family, f"segments with {' or '.join(columns)}"


def _readers() -> Iterator[tuple[str, Any]]:
    """Methods of annotations that need to be told no source."""
    for name, method in inspect.getmembers(Annotations, inspect.isfunction):
        if not name.startswith("_") and "source" not in inspect.signature(method).parameters:
            yield name, method


def _records(kind: Any) -> Iterator[type]:
    """The dataclasses in a type, and those in their fields."""
    if is_dataclass(kind) and isinstance(kind, type):
        yield kind
        for hint in get_type_hints(kind).values():
            yield from _records(hint)
    for inside in get_args(kind):
        yield from _records(inside)


def _spelled(kind: Any) -> str:
    """A type as code has it, without the modules of its parts."""
    if kind is Ellipsis:
        return "..."
    if kind is type(None):
        return "None"
    inside = [_spelled(one) for one in get_args(kind)]
    if isinstance(kind, UnionType):
        return " | ".join(inside)
    return f"{kind.__name__}[{', '.join(inside)}]" if inside else str(kind.__name__)


def _summary(thing: Any) -> str:
    """The first paragraph of what is said of it, nothing for a dataclass that says nothing."""
    said = (inspect.getdoc(thing) or "").split("\n\n")[0]
    return "" if said.startswith(f"{thing.__name__}(") else said


def _indented(text: str) -> str:
    """Lines of at most WIDTH; none of an empty text."""
    lines = textwrap.wrap(" ".join(text.split()), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
    return "".join(f"{line}\n" for line in lines)
