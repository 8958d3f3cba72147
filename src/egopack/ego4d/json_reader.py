"""JSON checked at the door: what is not as expected is a UserError that names file, place and value, in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from egopack.errors import UserError, refused

FRAME_LIMIT = 2**31  # two years of video: a larger number is damage
SHOWN = 60  # characters of a value that a message repeats


class Item:
    """A JSON object with its place in its file, read key by key; whatever is not as expected raises UserError."""

    __slots__ = ("data", "file", "parent", "place")

    def __init__(self, file: Path, data: Any, place: str = "", parent: Item | None = None) -> None:
        self.file, self.data, self.place, self.parent = file, data, place, parent
        if type(data) is not dict:
            raise wrong(file, self.where() or "the top level", data, "an object")

    def where(self, key: str = "") -> str:
        parts = (self.parent.where() if self.parent else "", self.place, key)
        return ".".join(part for part in parts if part)

    def wrong(self, key: str, expected: str) -> UserError:
        if key not in self.data:
            return UserError(f"{self.file}: {self.where(key)} is missing, expected {expected}; fetch the file again")
        return wrong(self.file, self.where(key), self.data[key], expected)

    def frame(self, key: str) -> int:
        value = self.data.get(key)
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not -FRAME_LIMIT < value < FRAME_LIMIT:
            raise self.wrong(key, "a whole number of frames")
        return value

    def label(self, key: str) -> int:
        value = self.data.get(key)
        if type(value) is not int:
            raise self.wrong(key, "a label id")
        return value

    def seconds(self, key: str) -> float:
        value = self.data.get(key)
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > FRAME_LIMIT:
            raise self.wrong(key, "a number of seconds")
        return float(value)

    def text(self, key: str) -> str:
        value = self.data.get(key)
        if type(value) is not str or not value or not encodable(value):
            raise self.wrong(key, "a text")
        return value

    def uid(self, key: str) -> str:
        """A text that names a file: no separators, so that it cannot leave its folder."""
        value = self.text(key)
        if not value.isprintable() or value.startswith(".") or "/" in value or "\\" in value:
            raise self.wrong(key, "a uid (letters, digits, hyphens)")
        return value

    def flag(self, key: str) -> bool:
        value = self.data.get(key)
        if type(value) is not bool:
            raise self.wrong(key, "true or false")
        return value

    def items(self, key: str) -> Iterator[Item]:
        values = self.data.get(key)
        if type(values) is not list:
            raise self.wrong(key, "a list")
        return (Item(self.file, value, f"{key}[{i}]", self) for i, value in enumerate(values))

    def name(self) -> str:
        return f"{self.file.name}: {self.where()}"


def wrong(file: Path, where: str, value: Any, expected: str) -> UserError:
    """The error for a value at a place of a file, the value shown as JSON spells it."""
    try:
        shown = json.dumps(value)
    except RecursionError:
        shown = "nested too deeply"
    shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
    return UserError(f"{file}: {where} is {shown}, expected {expected}; fetch the file again")


def encodable(text: str) -> bool:
    """Whether `text` can be written as UTF-8 (JSON can spell half of a surrogate pair)."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def read_text(path: Path) -> str:
    """The file's text; UserError where it is missing, unreadable or not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; fetch the annotations into it") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; fetch the file again") from None
    except OSError as error:
        raise refused(path, error) from None


def read_object(path: Path | str) -> Item:
    """The object at a file's top level; UserError for a file that is missing, cut short or holds anything else."""
    return Item(Path(path), read_value(path))


def read_value(path: Path | str) -> Any:
    """What a file holds, whatever it is; UserError for one that is missing or cut short."""
    path = Path(path)
    text = read_text(path)
    try:
        return json.loads(text)
    except RecursionError:
        raise UserError(f"{path}: nested too deeply to be an annotation file; fetch the file again") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise UserError(f"{path}: not whole JSON at {place} ({error.msg}); fetch the file again") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); fetch the file again") from None
