"""Fingerprint of the raw data: small manifests in git stand for hundreds of gigabytes that are not.

One manifest for each annotation source and each feature set, so that a changed file reruns only what reads it.
Annotation files: size and SHA-256. Feature files: size and CRC-32 of the first and last 4 KiB, which costs a second or
two for thousands and notices nearly every file replaced by another of its size. Names are relative: no user's path.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from egopack.ego4d import layout
from egopack.ego4d.sources.table import optional_files, source_files
from egopack.errors import UserError
from egopack.files import sha256

EDGE_BYTES = 4096
THREADS = 16  # the work is waiting for the disk
DOWNLOADS = "~/ego4d_data"  # where the official client's own examples download to
CLIENT_NAMES = {"omnivore": "omnivore_video_swinl", "slowfast": "slowfast8x8_r101_k400"}  # of sets by their short names
CLIENT_PREFIXES = ("omnivore_", "slowfast8x8_")  # of sets by the client's own names


def fingerprint(root: Path | str, version: str, feature_sets: Iterable[str], sources: Iterable[str]) -> dict[str, Any]:
    """Manifests by name: one for each source ("fho_lta") and each feature set ("features/egovlp").

    A source's is {"version", "files": {name: {"bytes", "sha256"}}}, a feature set's {"files": {name: its `stamp`}}.
    Raises UserError that lists what is missing under `root` and the command that fetches it.
    """
    root, feature_sets, sources = Path(root), list(feature_sets), list(sources)
    check_whole(root, version, feature_sets, sources)
    manifests: dict[str, Any] = {}
    for source in sources:
        files = [*source_files(root, version, source), *optional_files(root, source)]
        present = [path for path in files if path.exists()]
        manifests[source] = {"version": version, "files": {path.name: file_entry(path) for path in present}}
    for name in feature_sets:
        manifests[f"features/{name}"] = {"files": _stamps(layout.feature_dir(root, name))}
    return manifests


def stamp(path: Path | str) -> str:
    """ "<bytes> <crc32 of the first and last 4 KiB>": names a feature file's content without reading all of it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(handle).st_size
        crc = zlib.crc32(os.pread(handle, EDGE_BYTES, 0))
        crc = zlib.crc32(os.pread(handle, EDGE_BYTES, max(size - EDGE_BYTES, 0)), crc)
    finally:
        os.close(handle)
    return f"{size} {crc:08x}"


def file_entry(path: Path) -> dict[str, Any]:
    """{"bytes", "sha256"} of a file; UserError where it cannot be read."""
    try:
        return {"bytes": path.stat().st_size, "sha256": sha256(path)}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); it has to be a readable file") from None


def _feature_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if entry.name.endswith(layout.FEATURE_SUFFIXES) and entry.is_file()
        )


def _stamps(folder: Path) -> dict[str, str]:
    names = _feature_names(folder)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(names, pool.map(stamp, (f"{folder}/{name}" for name in names), chunksize=64), strict=True))
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: cannot be read ({error.strerror}); check its permissions"
        ) from None


def check_whole(root: Path, version: str, feature_sets: Iterable[str], sources: Iterable[str]) -> None:
    """UserError that lists what is missing, unless every source's files are there and every feature set has a file."""
    missing = [
        str(path.relative_to(root))
        for source in sources
        for path in source_files(root, version, source)
        if not path.exists()
    ]
    for name in feature_sets:
        folder = layout.feature_dir(root, name)
        if not folder.is_dir() or not _feature_names(folder):
            missing.append(f"features/{name}/<video_uid>.pt")
    if not missing:
        return
    raise UserError(f"{root}: missing {', '.join(missing)}; {how_to_fetch(root, version, feature_sets)}")


def command(version: str, feature_sets: Iterable[str]) -> str:
    """The official client's command for the annotations of both benchmarks and those feature sets that it has."""
    datasets = " ".join(["annotations", *filter(None, map(_client_name, feature_sets))])
    return f'ego4d --output_directory="{DOWNLOADS}" --datasets {datasets} --benchmarks FHO EM --version {version}'


def how_to_fetch(root: Path | str, version: str, feature_sets: Iterable[str]) -> str:
    """What to type to have the annotations and feature sets, and where to put them, in one line."""
    names = {name: _client_name(name) for name in feature_sets}
    places = [f"{DOWNLOADS}/{version}/annotations at {root}/annotations/{version}"]
    places += [f"{DOWNLOADS}/{version}/{theirs} at {root}/features/{name}" for name, theirs in names.items() if theirs]
    text = f"fetch them with the official client: {command(version, names)} and put (or link) {', '.join(places)}"
    own = [f"{root}/features/{name}" for name, theirs in names.items() if not theirs]
    if own:
        text += f"; the client has no such features, so put a <video_uid>.pt or .npy of each video at {', '.join(own)}"
    return text


def _client_name(feature_set: str) -> str | None:
    """The official client's name of a feature set; None for one that it does not have (EgoVLP, a user's own)."""
    if feature_set.startswith(CLIENT_PREFIXES):
        return feature_set
    return CLIENT_NAMES.get(feature_set)
