"""The smallest valid params, as a tree to change, and what a stage says of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from egopack.errors import UserError
from egopack.params import Params, load_params
from egopack.tasks.base import check_task

Tree = dict[str, Any]

VALID: Tree = {
    "seed": 0,
    "data": {"root": "raw", "features": {"f": {"size": 4}}},
    "synthetic": {},
    "backbone": {"hidden": 8, "conv": {"gate_size": 4}},
    "multi": {"levels": 2, "base_batch": 2, "epochs": 3, "warmup_epochs": 1, "lr": 0.001},
    "interaction": {"k": 4},
    "comparison": {"multi_pack": "all"},
    "packs": {"all": ["ar", "mq"], "without_ar": ["mq"], "without_mq": ["ar"]},
    "helped_by": {"ar": "without_ar", "mq": "without_mq"},
    "tasks": {
        name: {
            "annotations": source,
            "levels": 1,
            "samples": {},
            "model": {"features": 8},
            "train": {"batch_size": 4, "epochs": 2, "warmup_epochs": 1, "lr": 0.01},
            "egopack": {"batch_size": 4, "epochs": 2, "warmup_epochs": 1, "lr": 0.01},
        }
        for name, source in (("ar", "fho_lta"), ("mq", "moments"))
    },
    "runtime": {},
}


def blocks(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all mappings, the outermost first."""
    yield path
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from blocks(value, (*path, key))


def block_at(tree: Tree, path: tuple[str, ...]) -> Tree:
    for key in path:
        tree = tree[key]
    return tree


def changed(path: str, value: Any) -> Tree:
    *parents, last = path.split(".")
    tree = copy.deepcopy(VALID)
    block_at(tree, tuple(parents))[last] = value
    return tree


def load_all(tree: Tree, folder: Path) -> Params:
    """params.yaml with this content, and all its task blocks, as a stage reads them."""
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(tree))
    params = load_params(path)
    for name, block in params.tasks.items():
        check_task(name, block, path)
    return params


def refusal(tree: Tree, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_all(tree, folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'params.yaml'}: ")
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'params.yaml'}: ")
