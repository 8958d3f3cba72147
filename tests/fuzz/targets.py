"""The readers, and a whole file for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from egopack.data.samples import read_samples, write_samples
from egopack.data.shard_reader import VIDEOS, FeatureShards, shard_name
from egopack.data.splits import read_labels
from egopack.ego4d.features import read_features
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.fho_lta import read_actions, read_taxonomy
from egopack.ego4d.sources.fho_oscc_pnr import read_windows
from egopack.ego4d.sources.moments import read_moment_labels, read_moments
from egopack.ego4d.sources.scenarios import read_scenarios
from egopack.footage.exports.convert import read_export
from egopack.model.checkpoint import CONFIG, WEIGHTS, load_checkpoint, save_checkpoint
from egopack.model.prototypes import Prototypes, load_prototypes, save_prototypes
from egopack.params import FeatureSet, load_params
from egopack.preparation.shards import write_shards
from egopack.published.checkpoint import import_published
from egopack.tasks.base import check_task
from egopack.training.loop import train
from egopack.training.state import STATE, Scratch
from tests.support import exports, small
from tests.support.train_tiny import loaders_of, network_of, params_of

TESTS = Path(__file__).resolve().parents[1]
ANNOTATIONS = TESTS / "parity" / "pipeline" / "corpus" / "annotations"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Target:
    """`make` leaves a whole file of this `name` in a folder, and what else the reader needs; `read` reads it."""

    name: str
    make: Callable[[Path], Any]
    read: Callable[[Path], Any]


def copied(source: Path, name: str = "") -> Callable[[Path], Any]:
    return lambda folder: (folder / (name or source.name)).write_bytes(source.read_bytes())


def json_of(name: str, read: Callable[[Path, Skips], Any]) -> Target:
    file = f"{name}.json"
    return Target(file, copied(ANNOTATIONS / "v1" / file), lambda folder: read(folder / file, Skips()))


def labels_below(folder: Path) -> None:
    """mq_labels.tsv where a root of Ego4D has it: the folder's own, by another name of the same file."""
    (folder / "annotations").mkdir()
    (folder / "mq_labels.tsv").write_bytes((ANNOTATIONS / "mq_labels.tsv").read_bytes())
    (folder / "annotations" / "mq_labels.tsv").symlink_to("../mq_labels.tsv")


def shards(folder: Path) -> None:
    (folder / "features" / "f").mkdir(parents=True)
    for uid in ("u", "v"):
        np.save(folder / "features" / "f" / f"{uid}.npy", np.ones((5, 4), np.float32))
    write_shards(folder, {"f": FeatureSet(size=4)}, ["u", "v"], folder, skips=Skips())


def read_rows(folder: Path) -> None:
    found = FeatureShards(folder)
    for uid in found.uids:
        found.rows(uid, np.arange(found.length(uid)))


def samples(folder: Path) -> None:
    write_samples(folder / "train.h5", small.samples_of("oscc", 4))


def checkpoint(folder: Path) -> None:
    save_checkpoint(folder, small.network_of("ar", "mq"))


def prototypes(folder: Path) -> None:
    rows = {"ar": torch.ones(4, 3), "mq": torch.ones(4, 2)}
    save_prototypes(folder / "p.safetensors", Prototypes(rows, torch.arange(4), torch.arange(4)))


def state(folder: Path) -> None:
    train(network_of(), loaders_of(), params_of(), device=CPU, scratch=Scratch(folder, 3))


def resume(folder: Path) -> None:
    train(network_of(), loaders_of(), params_of(), device=CPU, scratch=Scratch(folder, 10**6))


def read_params(folder: Path) -> None:
    params = load_params(folder / "params.yaml")
    for name, block in params.tasks.items():
        check_task(name, block, folder / "params.yaml")


def short_params(folder: Path) -> None:
    """As few lines as possible, so that every byte counts."""
    params = yaml.safe_load((TESTS.parent / "params.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def array(folder: Path) -> None:
    np.save(folder / "u.npy", np.ones((9, 4), np.float32))


def tensor(folder: Path) -> None:
    torch.save(torch.ones(9, 4), folder / "u.pt")


def classes(folder: Path) -> None:
    (folder / "labels.json").write_text('{"verbs": ["a", "b"]}', encoding="utf-8")


PUBLISHED = next((TESTS / "parity" / "published").glob("*.pth"))
TARGETS = (
    json_of("fho_lta_val", read_actions),
    json_of("fho_oscc-pnr_val", read_windows),
    json_of("moments_val", read_moments),
    json_of("ego4d", lambda path, skips: read_scenarios(path)),
    json_of("fho_lta_taxonomy", lambda path, skips: read_taxonomy(path)),
    Target("mq_labels.tsv", labels_below, lambda folder: read_moment_labels(folder, "v1")),
    Target("u.npy", array, lambda folder: read_features(folder / "u.npy")),
    Target("u.pt", tensor, lambda folder: read_features(folder / "u.pt")),
    Target(shard_name(0), shards, read_rows),
    Target(VIDEOS, shards, read_rows),
    Target("train.h5", samples, lambda folder: read_samples(folder / "train.h5")),
    Target("labels.json", classes, read_labels),
    Target(WEIGHTS, checkpoint, load_checkpoint),
    Target(CONFIG, checkpoint, load_checkpoint),
    Target("p.safetensors", prototypes, lambda folder: load_prototypes(folder / "p.safetensors")),
    Target(STATE, state, resume),
    Target("params.yaml", short_params, read_params),
    *(
        Target(name, make, lambda folder, name=name: read_export(folder / name, 25.0))
        for name, make in (
            ("kitchen labels.eaf", lambda folder: exports.write_elan(folder, "kitchen")),
            ("project.json", exports.write_studio),
            ("via.json", exports.write_via),
        )
    ),
    Target(PUBLISHED.name, copied(PUBLISHED), lambda folder: import_published(folder / PUBLISHED.name)),
)
