from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from egopack.params import Params, check
from tests.support.params_tree import VALID, block_at, blocks, changed, load_all, refusal

OPEN = {("tasks",), ("packs",), ("helped_by",), ("data", "features")}  # mappings whose keys are the user's


@pytest.mark.parametrize("path", [path for path in blocks(VALID) if path not in OPEN], ids=".".join)
def test_an_unknown_key_in_any_block(path: tuple[str, ...], tmp_path: Path) -> None:
    tree = copy.deepcopy(VALID)
    block_at(tree, path)["learning_rat"] = 1
    assert refusal(tree, tmp_path) == f"{'.'.join((*path, 'learning_rat'))}: unknown key; is it misspelt?"


def test_an_unknown_key_in_decode(tmp_path: Path) -> None:
    assert refusal(changed("tasks.mq.decode", {"sigm": 1}), tmp_path).startswith("tasks.mq.decode.sigm: unknown key")
    assert refusal(changed("tasks.ar.decode", {"sigma": 1}), tmp_path).startswith("tasks.ar.decode.sigma: unknown key")


REQUIRED = """
    seed data data.root data.features data.features.f.size synthetic backbone backbone.hidden
    multi multi.levels multi.base_batch multi.epochs multi.warmup_epochs multi.lr
    interaction comparison packs helped_by tasks
    tasks.mq.annotations tasks.mq.levels tasks.mq.samples tasks.mq.model tasks.mq.model.features
    tasks.mq.train tasks.mq.train.batch_size tasks.mq.train.epochs tasks.mq.train.lr
    tasks.mq.egopack.warmup_epochs
"""


@pytest.mark.parametrize("key", REQUIRED.split())
def test_a_missing_key(key: str, tmp_path: Path) -> None:
    tree = copy.deepcopy(VALID)
    *parents, last = key.split(".")
    del block_at(tree, tuple(parents))[last]
    assert refusal(tree, tmp_path) == f"{key}: this key is missing"


WRONG: list[tuple[str, Any]] = [
    ("seed", "zero"),
    ("launcher", " "),
    ("launcher", ["torchrun"]),
    ("data.version", "v3"),
    ("data.features.f.stride", 0),
    ("data.features.f.fps", 0),
    ("data.storage", "float64"),
    ("data.shard_mb", 0),
    ("synthetic.train_videos", 0),
    ("synthetic.two_clips", 1.0),
    ("backbone.hidden", 0),
    ("backbone.hidden", 8.5),
    ("backbone.radius_s", -1),
    ("backbone.dropout", 1.0),
    ("backbone.pool", "median"),
    ("backbone.projection", "cnn"),
    ("backbone.conv.name", "transformer"),
    ("backbone.conv.aggr", "max"),
    ("multi.lr", 0),
    ("multi.lr", float("nan")),
    ("multi.lr", float("inf")),
    ("multi.lr_min", -1e-9),
    ("multi.weight_decay", -1),
    ("multi.grad_clip_norm", 0),
    ("multi.base_batch", 0),
    ("multi.levels", 0),
    ("interaction.k", -1),
    ("interaction.distance", "l1"),
    ("interaction.rounds", -1),
    ("tasks.ar.levels", 0),
    ("tasks.ar.train.batch_size", 0),
    ("tasks.ar.model.dropout", -0.1),
    ("tasks.ar.model.fusion", "both"),
    ("tasks.mq.model.prior", 1),
    ("tasks.mq.decode", {"nms": "greedy"}),
    ("tasks.mq.decode", {"voting_threshold": 0}),
    ("runtime.threads", -1),
    ("runtime.device", "gpu"),
    ("runtime.device", "cuda:"),
    ("runtime.device", "cuda:one"),
    ("seed", True),
    ("data.features.f.fps", True),
    ("data.shard_mb", True),
    ("backbone.dropout", False),
    ("backbone.projection", False),
    ("multi.epochs", True),
    ("multi.lr", True),
    ("interaction.k", True),
    ("tasks.ar.levels", True),
    ("tasks.ar.train.batch_size", True),
    ("tasks.mq.model.prior", False),
    ("tasks.mq.decode", {"sigma": True}),
    ("runtime.threads", True),
]


@pytest.mark.parametrize(("key", "value"), WRONG, ids=lambda value: str(value))
def test_a_value_out_of_range(key: str, value: Any, tmp_path: Path) -> None:
    message = refusal(changed(key, value), tmp_path)
    if isinstance(value, dict):
        ((inner, value),) = value.items()
        key = f"{key}.{inner}"
    assert message.startswith(f"{key}: ")
    assert message.endswith(f"(got {value!r})")


def test_a_seed_that_numpy_refuses(tmp_path: Path) -> None:
    assert refusal(changed("seed", -1), tmp_path).startswith("seed: ")


@pytest.mark.parametrize(
    "key", ["packs", "tasks.ar", "tasks.ar.train", "tasks.ar.model", "data.features", "tasks.ar.decode"]
)
def test_a_block_that_is_no_mapping(key: str, tmp_path: Path) -> None:
    assert refusal(changed(key, [1]), tmp_path).startswith(f"{key}: ")


def test_truth_where_it_belongs(tmp_path: Path) -> None:
    for value in (True, False):
        params = load_all(changed("backbone.conv.gated", value), tmp_path)
        assert params.backbone.conv.gated is value
    assert refusal(changed("backbone.conv.gated", 2), tmp_path).startswith("backbone.conv.gated: ")


def test_params_are_frozen() -> None:
    params = check(Params, VALID, file="params.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        params.backbone.hidden = 3
