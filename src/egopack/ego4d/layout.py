"""Where everything lies under the raw root; which files a source of annotations has, it says itself (sources/).

<root>/annotations/<version>/*.json   <root>/annotations/mq_labels.tsv   <root>/features/<name>/<video_uid>.{pt,npy,npz}
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from egopack.errors import UserError

TEST = "test_unannotated"  # without labels: a server scores what is predicted, and expects all of it
SPLITS = ("train", "val", TEST)
VERSIONS = ("v1", "v2")
FEATURE_SUFFIXES = (".pt", ".npy", ".npz")
RENDERED = "rendered.json"  # lies beside features that are made of annotations
MOMENT_LABELS = "mq_labels.tsv"
TAXONOMY = "fho_lta_taxonomy.json"


def annotation_dir(root: Path | str, version: str) -> Path:
    """Folder of one version's JSON files."""
    return Path(root) / "annotations" / version


def annotation_file(root: Path | str, version: str, source: str, split: str) -> Path:
    """JSON file of a split, e.g. annotation_file(root, "v1", "fho_lta", "train")."""
    if split not in SPLITS:
        raise ValueError(f"no annotation file for source {source!r}, split {split!r}")
    return annotation_dir(root, version) / f"{source}_{split}.json"


def taxonomy_file(root: Path | str, version: str) -> Path:
    """Names of the verbs and nouns."""
    return annotation_dir(root, version) / TAXONOMY


def moment_labels_file(root: Path | str) -> Path:
    """Published ids of the moment classes; the file is optional."""
    return Path(root) / "annotations" / MOMENT_LABELS


def feature_dir(root: Path | str, name: str) -> Path:
    """Folder of one feature set."""
    return Path(root) / "features" / name


def feature_files(root: Path | str, name: str, video_uid: str) -> list[Path]:
    """A video's files in a feature set, .pt before .npy: none, one, or by mistake both."""
    folder = feature_dir(root, name)
    candidates = (folder / f"{video_uid}{suffix}" for suffix in FEATURE_SUFFIXES)
    return [path for path in candidates if path.is_file()]


def feature_uids(root: Path | str, names: Iterable[str]) -> list[str]:
    """Videos that have a file in any of the feature sets, sorted; UserError where the folder of a set is missing."""
    folders = [feature_dir(root, name) for name in names]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f"{folder}: no such folder; put the features there, or take {folder.name} off data.features"
            )
    files = (path for folder in folders for path in folder.iterdir())
    return sorted({path.stem for path in files if path.suffix in FEATURE_SUFFIXES})


def told_of_rendered(feature_sets: Collection[str]) -> str:
    """What whoever sees scores of rendered features is to know; nothing where there are none."""
    if not feature_sets:
        return ""
    return (
        f"Features of {', '.join(feature_sets)} are rendered: made of the annotations, so scores say nothing of the "
        "footage."
    )
