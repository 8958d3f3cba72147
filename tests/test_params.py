from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from egopack.errors import UserError
from egopack.params import OptimizerParams, Params, RuntimeParams, check, load_params
from egopack.tasks.base import check_task

REPOSITORY = Path(__file__).parents[1]
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
    "tasks": {
        name: {
            "annotations": "somewhere",
            "pack": f"without_{name}",
            "levels": 1,
            "samples": {},
            "model": {"features": 8},
            "train": {"batch_size": 4, "epochs": 2, "warmup_epochs": 1, "lr": 0.01},
            "egopack": {"batch_size": 4, "epochs": 2, "warmup_epochs": 1, "lr": 0.01},
        }
        for name in ("ar", "mq")
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


def test_the_smallest_valid_file(tmp_path: Path) -> None:
    params = load_all(VALID, tmp_path)
    assert (params.backbone.conv.gate_size, params.backbone.radius_s, params.interaction.k) == (4, 2.0, 4)


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("params*.yaml")), ids=lambda path: path.name)
def test_files_of_the_repository(path: Path) -> None:
    params = load_params(path)
    for name, block in params.tasks.items():
        checked = check_task(name, block, path)
        assert checked.regimes.pack in params.packs
    assert params.comparison.multi_pack in params.packs
    assert params.synthetic.feature_set in params.data.features or path.name != "params.yaml"


OPEN = {("tasks",), ("packs",), ("data", "features")}  # mappings whose keys are the user's


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
    interaction comparison comparison.multi_pack packs tasks
    tasks.mq.annotations tasks.mq.pack tasks.mq.levels tasks.mq.samples tasks.mq.model tasks.mq.model.features
    tasks.mq.train tasks.mq.train.batch_size tasks.mq.train.epochs tasks.mq.train.lr
    tasks.mq.egopack tasks.mq.egopack.warmup_epochs
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
    ("interaction.k", 0),
    ("interaction.distance", "l1"),
    ("interaction.stages", 0),
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


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".hidden"])
def test_a_feature_set_is_a_folder(name: str, tmp_path: Path) -> None:
    message = refusal(changed("data.features", {name: {"size": 4}}), tmp_path)
    assert message.startswith(f"data.features: {name!r} is not the name of a folder")


@pytest.mark.parametrize(("key", "value"), WRONG, ids=lambda value: str(value))
def test_a_value_out_of_range(key: str, value: Any, tmp_path: Path) -> None:
    message = refusal(changed(key, value), tmp_path)
    if isinstance(value, dict):
        ((inner, value),) = value.items()
        key = f"{key}.{inner}"
    assert message.startswith(f"{key}: ")
    assert message.endswith(f"(got {value!r})")


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_devices(device: str) -> None:
    assert RuntimeParams(device=device).device == device


def test_a_number_alone_is_no_device(tmp_path: Path) -> None:
    assert refusal(changed("runtime.device", "0"), tmp_path).startswith("runtime.device: ")


def test_a_seed_that_numpy_refuses(tmp_path: Path) -> None:
    assert refusal(changed("seed", -1), tmp_path).startswith("seed: ")


@pytest.mark.parametrize(
    "key", ["packs", "tasks.ar", "tasks.ar.train", "tasks.ar.model", "data.features", "tasks.ar.decode"]
)
def test_a_block_that_is_no_mapping(key: str, tmp_path: Path) -> None:
    assert refusal(changed(key, [1]), tmp_path).startswith(f"{key}: ")


def test_numbers_written_as_text_are_read() -> None:
    params = OptimizerParams.model_validate({"epochs": "3", "warmup_epochs": "0", "lr": "1e-05"})
    assert (params.epochs, params.warmup_epochs, params.lr) == (3, 0, 1e-5)
    assert type(params.lr) is float


def test_truth_where_it_belongs(tmp_path: Path) -> None:
    for value in (True, False):
        params = load_all(changed("backbone.conv.gated", value), tmp_path)
        assert params.backbone.conv.gated is value
    assert refusal(changed("backbone.conv.gated", 2), tmp_path).startswith("backbone.conv.gated: ")


def test_warmup_longer_than_training(tmp_path: Path) -> None:
    assert refusal(changed("multi.warmup_epochs", 4), tmp_path) == "multi: warmup_epochs 4 exceeds epochs 3"
    load_all(changed("multi.warmup_epochs", 3), tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("packs.all", ["ar", "xy"], "packs.all: 'xy' is not one of the tasks ar, mq"),
        ("packs.all", ["ar", "ar"], "packs.all: ['ar', 'ar'] must name each of its tasks once"),
        ("packs.all", [], "packs.all: [] must name each of its tasks once"),
        ("tasks.ar.pack", "nope", "tasks.ar.pack: 'nope' is not one of the packs all, without_ar, without_mq"),
        ("tasks.ar.pack", "all", "tasks.ar.pack: the pack 'all' contains 'ar' itself, so it is not novel to it"),
    ],
)
def test_packs(key: str, value: Any, message: str, tmp_path: Path) -> None:
    assert refusal(changed(key, value), tmp_path) == message


def test_a_pack_that_is_a_list(tmp_path: Path) -> None:
    assert refusal(changed("tasks.ar.pack", ["without_ar"]), tmp_path).startswith("tasks.ar.pack: ")


def test_the_compared_pack_must_exist(tmp_path: Path) -> None:
    assert refusal(changed("comparison.multi_pack", "al"), tmp_path).startswith("comparison.multi_pack: 'al'")


def test_a_task_without_a_file(tmp_path: Path) -> None:
    tree = changed("tasks.juggling", copy.deepcopy(VALID["tasks"]["ar"]))
    with pytest.raises(
        UserError, match=r"tasks\.juggling: there is no src/egopack/tasks/juggling\.py \(there are ar, "
    ):
        load_all(tree, tmp_path)


def test_params_are_frozen() -> None:
    params = check(Params, VALID, file="params.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        params.backbone.hidden = 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"a: 1\n\tb: 2", "not valid YAML"),
        (b"- 1\n- 2\n", "expected a mapping of keys at the top level, got list"),
        (b"", "expected a mapping of keys at the top level, got NoneType"),
    ],
)
def test_files_that_are_no_params(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_params(tmp_path / "nowhere.yaml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_params(tmp_path)
