"""segments.csv (or .tsv, .parquet, .jsonl): a row a segment; and, if it is there, videos.csv: a row a video.

Columns of segments: `video`, `start`, `end` in seconds (or `start_frame`, `end_frame`, where videos.csv has the video's
`fps`), and any of `verb`, `noun`, `label`, `state_change`, `pnr`, `split`, `id`. Of videos: `video`, and any of
`duration`, `fps`, `split`, `group`. Other columns are not read. labels.json, if it is there, lists the classes:
{"verbs": [...], "nouns": [...], "moments": [...]}.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from egopack.ego4d.json_reader import read_object
from egopack.errors import UserError, refused
from egopack.footage import cells
from egopack.footage.timelines import NAMES, TEXTS, Timelines, judged
from egopack.labels import Labels

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
VIDEOS, LABELS = "videos.csv", "labels.json"
READ = ("video", "start", "end", "start_frame", "end_frame", *TEXTS, "state_change", "pnr", "split", "id")
OF_VIDEOS = ("video", "duration", "fps", "split", "group")
SPLIT_NAMES = "train, val or test"


def read_table(path: Path) -> Timelines:
    """The timelines of a table; UserError for what cannot be read, before anything is made of the rest."""
    table = read_columns(path, READ)
    _check_columns(path, table)
    video = cells.video_names(path, table["row"], table["video"])
    videos = _read_videos(path.parent / VIDEOS)
    rates = None if "start" in table and "end" in table else _rates(path, table, video, videos)
    found = pd.DataFrame({"row": table["row"], "video": video})
    for edge in ("start", "end"):
        column = edge if rates is None else f"{edge}_frame"
        times = cells.needed(path, table, column, cells.seconds(path, table, column))
        found[edge] = times if rates is None else times / rates
    for column in TEXTS:
        if column in table:
            found[column] = cells.labels(path, table, column)
    if "state_change" in table:
        found["state_change"] = cells.named(path, table, "state_change", cells.FLAGS, "true, false or nothing")
    if "pnr" in table:
        found["pnr"] = cells.seconds(path, table, "pnr")
    if "split" in table:
        found["split"] = cells.named(path, table, "split", cells.SPLITS, SPLIT_NAMES)
    if "id" in table:
        found["id"] = cells.labels(path, table, "id")
    return judged(Timelines(path, found, videos, read_classes(path.parent / LABELS)))


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Those of the `columns` that a file has, as texts, with the number of each row; rows of nothing are left out."""
    if path.suffix in (".parquet", ".jsonl"):
        try:
            table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_json(path, lines=True, dtype=False)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:
                raise refused(path, error) from None
            raise UserError(f"{path}: not a whole {path.suffix} file: {str(error).splitlines()[0]}") from None
        first = 1
        table.columns = pd.Index([str(name).strip().lower().replace(" ", "_") for name in table.columns])
        table = table.astype(object).where(table.notna(), "").map(str)
    else:
        table, first = _read_text(path), 2
    for name in columns:
        if list(table.columns).count(name) > 1:
            raise UserError(f"{path}: row 1: the column {name!r} stands twice")
    others = [str(name) for name in table.columns if name not in columns]
    table = table[[name for name in columns if name in table]]
    empty = (table == "").all(axis=1)
    found = table.assign(row=table.index + first)[~empty].reset_index(drop=True)
    found.attrs["others"] = others  # what a missing column may have been meant by
    return found


def _read_text(path: Path) -> pd.DataFrame:
    content = _content(path)
    first = content.split("\n", 1)[0]
    separator = "\t" if path.suffix == ".tsv" else max(",;\t", key=first.count)
    try:
        table = pd.read_csv(
            io.StringIO(content), sep=separator, header=None, dtype=str, na_filter=False, skip_blank_lines=False
        ).fillna("")
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise UserError(f"{path}: not a table: {reason}; is a text with a {separator!r} in quotes?") from None
    header = [str(name).strip().lower().replace(" ", "_") for name in table.iloc[0]]
    return table.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)


def _content(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; write the segments into it") from None
    except OSError as error:
        raise refused(path, error) from None
    if b"\0" in data:
        row = data[: data.index(b"\0")].count(b"\n") + 1
        raise UserError(f"{path}: row {row} holds a NUL byte; save the table as CSV in UTF-8")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: row {row} is not UTF-8; save the table as CSV in UTF-8") from None


def _check_columns(path: Path, table: pd.DataFrame) -> None:
    """UserError where a column is missing that every table has, or all that a task could be made of."""
    frames = {"start_frame", "end_frame"} <= set(table.columns)
    wanted = ["video"] if frames else ["video", "start", "end"]
    for name in wanted:
        if name not in table:
            raise UserError(f"{path}: row 1: no column {name!r}{_nearest(name, table)}")
    labels = (*TEXTS, "state_change", "pnr")
    if not any(name in table for name in labels):
        near = next((hint for name in labels if (hint := _nearest(name, table))), "")
        raise UserError(f"{path}: row 1: none of the columns {', '.join(labels)}{near}; there is nothing to learn")


def _nearest(name: str, table: pd.DataFrame) -> str:
    near = difflib.get_close_matches(name, table.attrs["others"], 1, 0.5)
    return f"; is it {near[0]!r}?" if near else ""


def _read_videos(path: Path) -> pd.DataFrame:
    """videos.csv by the names of the videos; UserError where one stands twice with other values."""
    if not path.exists():
        return no_videos()
    table = read_columns(path, OF_VIDEOS)
    if "video" not in table:
        raise UserError(f"{path}: row 1: no column 'video'{_nearest('video', table)}")
    found = pd.DataFrame({"video": cells.video_names(path, table["row"], table["video"])})
    for column in ("duration", "fps"):
        found[column] = cells.seconds(path, table, column) if column in table else float("nan")
        bad = found[column] <= 0
        if bad.any():
            raise cells.wrong(
                path, table.at[bad.idxmax(), "row"], column, table.at[bad.idxmax(), column], "more than 0"
            )
    found["split"] = cells.named(path, table, "split", cells.SPLITS, SPLIT_NAMES) if "split" in table else None
    found["group"] = cells.labels(path, table, "group") if "group" in table else None
    found = found.drop_duplicates()
    again = found["video"].duplicated()
    if again.any():
        at = again.idxmax()
        raise cells.wrong(path, table.at[at, "row"], "video", table.at[at, "video"], "each video once")
    return found.set_index("video")


def no_videos() -> pd.DataFrame:
    """A table of videos without any."""
    columns = {"duration": float, "fps": float, "split": object, "group": object}
    return pd.DataFrame(
        {name: pd.Series(dtype=kind) for name, kind in columns.items()}, index=pd.Index([], name="video")
    )


def _rates(path: Path, table: pd.DataFrame, video: pd.Series, videos: pd.DataFrame) -> pd.Series:
    rates = video.map(videos["fps"])
    if rates.isna().any():
        at = rates.isna().idxmax()
        raise UserError(
            f"{path}: row {table.at[at, 'row']}, start_frame: the fps of video {video[at]!r} is not known; add it to "
            f"{path.parent / VIDEOS}, or give start and end in seconds"
        )
    return rates.astype(float)


def read_classes(path: Path) -> Labels:
    """The classes that labels.json lists; none where there is no such file."""
    if not path.exists():
        return {}
    top = read_object(path)
    found: Labels = {}
    for key, names in top.data.items():
        if key not in NAMES.values():
            raise UserError(f"{path}: {key}: unknown, expected any of {', '.join(NAMES.values())}")
        if type(names) is not list or not names or any(type(name) is not str or not name for name in names):
            raise top.wrong(key, "a list of names")
        if len(set(names)) < len(names):
            raise UserError(f"{path}: {key}: {next(name for name in names if names.count(name) > 1)!r} stands twice")
        found[key] = tuple(names)
    return found
