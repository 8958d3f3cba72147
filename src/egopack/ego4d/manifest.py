"""Fingerprint of the raw data: small manifests in git stand for hundreds of gigabytes that are not.

One manifest for each annotation source and each feature set, so that a changed file reruns only what reads it.
Of every file the size and the SHA-256 of its content are noted. Names are relative: no user's path.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from egopack.checksums import Checksums
from egopack.ego4d import layout
from egopack.ego4d.sources.table import optional_files, source_files
from egopack.errors import UserError, refused
from egopack.files import printable, read_json

MOST_THREADS = 8
SHOWN = 3  # files that a message names
DOWNLOADS = "~/ego4d_data"  # where the official client's own examples download to
CLIENT_NAMES = {"omnivore": "omnivore_video_swinl", "slowfast": "slowfast8x8_r101_k400"}  # of sets by their short names
CLIENT_PREFIXES = ("omnivore_", "slowfast8x8_")  # of sets by the client's own names


def fingerprint(
    root: Path | str,
    version: str,
    feature_sets: Iterable[str],
    sources: Iterable[str],
    checksums: Checksums | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Manifests by name: one for each source ("fho_lta") and each feature set ("features/egovlp").

    A source's is {"version", "files": {name: {"bytes", "sha256"}}}, a feature set's {"files": {name:
    "<bytes> <sha256>"}}. `progress(done, total)`: feature files of a set.
    Raises UserError that lists what is missing under `root` and the command that fetches it.
    """
    root, feature_sets, sources, known = Path(root), list(feature_sets), list(sources), checksums or Checksums()
    check_whole(root, version, feature_sets, sources)
    manifests: dict[str, Any] = {}
    for source in sources:
        files = [*source_files(root, version, source), *optional_files(root, version, source)]
        present = [path for path in files if path.exists()]
        manifests[source] = {"version": version, "files": {path.name: file_entry(path, known) for path in present}}
    return manifests | feature_manifests(root, feature_sets, known, progress)


def feature_manifests(
    root: Path, feature_sets: Iterable[str], checksums: Checksums, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Those of feature sets, as `fingerprint`; UserError where one has no file."""
    manifests: dict[str, Any] = {}
    for name in feature_sets:
        folder = layout.feature_dir(root, name)
        if not folder.is_dir() or not _feature_names(folder):
            raise UserError(f"{folder}: no feature file in it; put one of each video there")
        made = read_json(folder / layout.RENDERED) if (folder / layout.RENDERED).exists() else None
        note = {} if made is None else {"rendered": made}
        manifests[f"features/{name}"] = note | {"files": _stamps(folder, checksums, progress)}
    return manifests


def rendered(folder: Path, feature_sets: Iterable[str]) -> list[str]:
    """Of these feature sets, those that were made of annotations, as the manifests in `folder` note it."""
    return [name for name in feature_sets if "rendered" in read_json(folder / "features" / f"{name}.json")]


def differences(noted: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line for each manifest whose files are now others than it notes."""
    lines = []
    for name, manifest in noted.items():
        before, found = manifest["files"], now[name]["files"]
        words = {"other content": [file for file in before if file in found and found[file] != before[file]]}
        words |= {"gone": sorted(before.keys() - found.keys()), "new": sorted(found.keys() - before.keys())}
        told = [f"{file} ({word})" for word, files in words.items() for file in files[:SHOWN]]
        if told:
            count = sum(map(len, words.values()))
            lines.append(
                f"{name}: {count} files are not those that were fingerprinted: {', '.join(told)}; "
                "restore them, or let dvc repro take them as they are"
            )
    return lines


def file_entry(path: Path, checksums: Checksums | None = None) -> dict[str, Any]:
    """{"bytes", "sha256"} of a file; UserError where it cannot be read."""
    try:
        return {"bytes": path.stat().st_size, "sha256": (checksums or Checksums()).of(path)}
    except OSError as error:
        raise refused(path, error) from None


def _feature_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if entry.name.endswith(layout.FEATURE_SUFFIXES) and entry.is_file()
        )


def _stamps(folder: Path, checksums: Checksums, progress: Callable[[int, int], None]) -> dict[str, str]:
    def stamp(name: str) -> str:
        path = f"{folder}/{name}"
        return f"{os.stat(path).st_size} {checksums.of(path)}"

    names, stamps = _feature_names(folder), {}
    try:
        with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
            for name, found in zip(names, pool.map(stamp, names), strict=True):
                stamps[printable(name)] = found
                progress(len(stamps), len(names))
    except OSError as error:
        raise refused(printable(str(error.filename or folder)), error) from None
    return stamps


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
