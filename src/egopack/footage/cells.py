"""Cells of a table, read a column at a time: what cannot be read is a UserError that names file, row, column and value.

Times are seconds (12.5), or [hh:]mm:ss[.ff]. A comma may stand for the decimal point, as in a spreadsheet of many
countries.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from egopack.ego4d.json_reader import encodable
from egopack.errors import UserError

CLOCK = r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)"
MOST_SECONDS = 1e7  # four months: more is damage
MEDIA = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
SHOWN = 60
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "test_unannotated"), "test_unannotated"),
}
FLAGS = {**dict.fromkeys(("1", "true", "yes", "y"), True), **dict.fromkeys(("0", "false", "no", "n"), False)}


def wrong(file: Path, row: object, column: str, value: object, expected: str) -> UserError:
    """The error for a cell; rows count as a text editor counts lines, the header being 1."""
    shown = repr(str(value))
    shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 4] + "...'"
    return UserError(f"{file}: row {row}, {column}: {shown}, expected {expected}")


def seconds(file: Path, table: pd.DataFrame, column: str) -> pd.Series:
    """A column of texts as seconds, NaN where a cell is empty; `table` has the number of each `row`."""
    text = table[column].str.strip()
    numbers = pd.to_numeric(text, errors="coerce")
    rest = numbers.isna() & (text != "")
    if rest.any():
        dotted = text[rest].where(text[rest].str.contains(".", regex=False), text[rest].str.replace(",", ".", n=1))
        clock = dotted.str.fullmatch(CLOCK)
        parts = dotted[clock].str.extract(f"^{CLOCK}$").fillna("0").astype(float)
        numbers[rest] = pd.to_numeric(dotted.where(~clock), errors="coerce")
        numbers[parts.index] = 3600 * parts[0] + 60 * parts[1] + parts[2]
    bad = (text != "") & ~(numbers.abs() <= MOST_SECONDS)
    if bad.any():
        at = bad.idxmax()
        raise wrong(file, table.at[at, "row"], column, table.at[at, column], "seconds, as 12.5 or 1:02.5")
    return numbers.astype(np.float64)


def needed(file: Path, table: pd.DataFrame, column: str, values: pd.Series) -> pd.Series:
    """The values; an empty cell is an error."""
    if values.isna().any():
        at = values.isna().idxmax()
        raise wrong(file, table.at[at, "row"], column, "", "a value")
    return values


def named(file: Path, table: pd.DataFrame, column: str, known: Mapping[str, object], expected: str) -> pd.Series:
    """A column of texts of which each is one of `known`, in any case; None where a cell is empty."""
    text = table[column].str.strip().str.lower()
    bad = ~text.isin([*known, ""])
    if bad.any():
        at = bad.idxmax()
        raise wrong(file, table.at[at, "row"], column, table.at[at, column], expected)
    return text.map(known).astype(object).where(text != "", None)


def labels(file: Path, table: pd.DataFrame, column: str) -> pd.Series:
    """A column of names, None where a cell is empty; spaces around them do not count."""
    text = table[column].str.strip()
    for name in text[text != ""].drop_duplicates():
        if name.startswith("=") or not name.isprintable() or not encodable(name):
            at = (text == name).idxmax()
            raise wrong(file, table.at[at, "row"], column, name, "a name, not a formula or control characters")
    return text.astype(object).where(text != "", None)


def video_names(file: Path, rows: pd.Series, names: pd.Series, column: str = "video") -> pd.Series:
    """Names of videos as their files are named: without the ending of a video file, _ for what a name cannot have.

    Raises UserError for an empty name, and for two names that become one.
    """
    found: dict[str, str] = {}
    first: dict[str, str] = {}
    for row, name in names.drop_duplicates().items():
        clean = unicodedata.normalize("NFC", name.strip())
        clean = clean[: -len(Path(clean).suffix)] if clean.lower().endswith(MEDIA) else clean
        clean = "".join("_" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in clean)
        clean = "_" + clean[1:] if clean.startswith(".") else clean
        at = rows[row]
        if not clean or clean.startswith("=") or not encodable(clean):
            raise wrong(file, at, column, name, "the name of a video")
        if first.setdefault(clean, name.strip()) != name.strip():
            raise UserError(
                f"{file}: row {at}, {column}: {name!r} and {first[clean]!r} both are the files {clean}.*; "
                "name each video in one way, and no two alike"
            )
        found[name] = clean
    return names.map(found)
