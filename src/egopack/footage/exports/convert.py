"""Exports of what people label with -> segments.csv, which `data.source: table` reads."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from egopack.ego4d.json_reader import Item, read_value
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.files import atomic_path
from egopack.footage.exports.elan import read_elan
from egopack.footage.exports.label_studio import read_label_studio
from egopack.footage.exports.spans import Export, Span
from egopack.footage.exports.via import read_via

COLUMNS = ("verb", "noun", "label", "state_change", "pnr", "split", "id")
KNOWN = "ELAN's .eaf, an export of Label Studio or a project of VIA 3, both .json"
ELAN = ".eaf"
UNMAPPED = "of tracks that are no column"
Row = dict[str, str]


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, those of folders in the order of their names."""
    found = []
    for path in paths:
        inside = sorted(one for one in path.iterdir() if one.suffix in (ELAN, ".json")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: a folder without {KNOWN}")
        found += inside
    return found


def read_export(path: Path, fps: float | None = None) -> Export:
    """The spans of one file of any form; `fps` is of videos whose spans are in frames. UserError for what is none."""
    if path.suffix.lower() == ELAN:
        return read_elan(path)
    value = read_value(path)
    if type(value) is list:
        return read_label_studio(path, value, fps)
    top = Item(path, value)
    if "metadata" in top.data and "view" in top.data:
        return read_via(top)
    if "database" in top.data:
        raise UserError(f"{path}: ActivityNet's form is read as it is; put data.source: activitynet into params.yaml")
    raise UserError(f"{path}: expected {KNOWN}")


def columns_of(tracks: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """track -> column: as `given`, else the column of its name; where no track has one, each is a `label`.

    Raises:
        UserError: `given` names a track or a column that there is not.
    """
    for track, column in given.items():
        if column not in COLUMNS:
            raise UserError(f"--column {track}={column}: {column!r} is not one of {', '.join(COLUMNS)}")
        if track not in tracks:
            raise UserError(f"--column {track}={column}: no track {track!r}, only {', '.join(tracks) or 'none'}")
    named = {track: track.strip().lower().replace(" ", "_") for track in tracks}
    found = {track: column for track, column in named.items() if column in COLUMNS} | dict(given)
    return found or dict.fromkeys(tracks, "label")


def convert(exports: Mapping[Path, Export], given: Mapping[str, str]) -> tuple[dict[Path, int], list[Row]]:
    """The rows of the table, and how many are of each file; what becomes no row is counted with its file.

    Raises:
        UserError: there is no row at all.
    """
    tracks = list(dict.fromkeys(span.track for export in exports.values() for span in export.spans))
    columns = columns_of(tracks, given)
    counts, rows = {}, []
    for path, export in exports.items():
        kept = [span for span in export.spans if span.track in columns]
        for span in export.spans:
            if span.track not in columns:
                export.skips.add(UNMAPPED, f"{span.track}; --column '{span.track}=label' would take them")
        own = list(_rows(kept, columns))
        counts[path] = len(own)
        rows += own
    if not rows:
        raise UserError(f"{', '.join(map(str, exports))}: no segment with a name, so there is nothing to write")
    return counts, rows


def _rows(spans: Sequence[Span], columns: Mapping[str, str]) -> Iterator[Row]:
    """A row for every stretch: what several tracks say of the same seconds stands side by side, what one track says
    twice below.
    """
    stretches: defaultdict[tuple[str, float, float], defaultdict[str, list[str]]]
    stretches = defaultdict(lambda: defaultdict(list))
    for span in spans:
        stretches[span.video, round(span.start, 6), round(span.end, 6)][columns[span.track]].append(span.value)
    for (video, start, end), values in sorted(stretches.items(), key=lambda one: one[0]):
        for place in range(max(map(len, values.values()))):
            row = {column: given[place] for column, given in values.items() if place < len(given)}
            yield {"video": video, "start": repr(start), "end": repr(end)} | row


def write_segments(path: Path, rows: Sequence[Row]) -> None:
    """Write segments.csv with the columns that any row has."""
    used = [column for column in COLUMNS if any(column in row for row in rows)]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["video", "start", "end", *used], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def in_words(skips: Skips) -> str:
    """What was left out of a file, and an example of each reason."""
    parts = [f"{one['count']} {reason} ({one['examples'][0]})" for reason, one in skips.to_dict().items()]
    return f"; left out {', '.join(parts)}" if parts else "; nothing left out"
