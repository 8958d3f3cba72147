from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from egopack.errors import UserError
from egopack.model.checkpoint import CARD, CONFIG, WEIGHTS, load_checkpoint, read_config, save_checkpoint
from egopack.model.config import About, about, class_names
from egopack.model.network import Network
from egopack.params import FeatureSet
from tests.model.test_network import novel_of
from tests.support import small
from tests.support.full_disk import full_disk

CONVOLUTIONS = ("tdgc", "gat", "gcn", "sage", "sage_position", "signed")


def saved(folder: Path, *names: str) -> Network:
    network = small.randomize(small.network_of(*(names or ("ar", "mq"))))
    save_checkpoint(folder, network)
    return network


def assert_same(network: Network, other: Network) -> None:
    mine, theirs = network.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    for name, value in mine.items():
        assert value.dtype == theirs[name].dtype
        assert torch.equal(value, theirs[name]), name


def test_round_trip(tmp_path: Path) -> None:
    network = saved(tmp_path)
    network.head("mq").normalizer.fill_(12.5)
    save_checkpoint(tmp_path, network)
    loaded = load_checkpoint(tmp_path)
    assert loaded.spec == network.spec
    assert not loaded.training
    assert float(loaded.head("mq").normalizer) == 12.5
    assert_same(loaded, network)
    batch = small.batch_of(small.samples_of("mq"), levels=3)
    ours, theirs = loaded("mq", batch), network.eval()("mq", batch)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_convolution_comes_back(name: str, tmp_path: Path) -> None:
    network = small.network_of("ar", backbone=small.backbone_params(conv={"name": name, "gate_size": 3}))
    save_checkpoint(tmp_path, network)
    assert_same(load_checkpoint(tmp_path), network)


def test_a_network_with_prototypes_comes_back(tmp_path: Path) -> None:
    network = novel_of("ar", "logits")
    save_checkpoint(tmp_path, network)
    loaded = load_checkpoint(tmp_path)
    assert_same(loaded, network)
    assert loaded.egopack["lta"].prototypes.any()


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    network = saved(tmp_path / "a")
    save_checkpoint(tmp_path / "other name", network)
    save_checkpoint(tmp_path / "again", load_checkpoint(tmp_path / "a"))
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert set(first) == {WEIGHTS, CONFIG, CARD}
    for folder in ("other name", "again"):
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} == first


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise"])
def test_a_damaged_file(name: str, damage: str, tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": b"\xff" * 100}[damage])
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def change_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    weights = load_file(folder / WEIGHTS)
    for name, value in changes.items():
        weights.pop(name)
        if value is not None:
            weights[name] = value
    save_file(weights, folder / WEIGHTS)


def test_another_shape(tmp_path: Path) -> None:
    saved(tmp_path, "ar")
    change_weights(tmp_path, **{"task.ar.verb.out.bias": torch.zeros(9)})
    expected = r"1 of \d+ weights differ from config\.json: task\.ar\.verb\.out\.bias: expected \(5,\), found \(9,\)$"
    with pytest.raises(UserError, match=expected):
        load_checkpoint(tmp_path)


def test_a_weight_by_another_name(tmp_path: Path) -> None:
    saved(tmp_path, "ar")
    weights = load_file(tmp_path / WEIGHTS)
    weights["task.ar.verb.last.bias"] = weights.pop("task.ar.verb.out.bias")
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / WEIGHTS}: 2 of ")
    assert "task.ar.verb.last.bias: expected nothing, found (5,)" in str(caught.value)
    assert "task.ar.verb.out.bias: expected (5,), found nothing" in str(caught.value)


def test_many_differences_are_counted_and_five_named(tmp_path: Path) -> None:
    saved(tmp_path, "ar")
    names = sorted(load_file(tmp_path / WEIGHTS))[:7]
    change_weights(tmp_path, **dict.fromkeys(names))
    with pytest.raises(UserError, match=r"7 of \d+ weights differ") as caught:
        load_checkpoint(tmp_path)
    assert [name in str(caught.value) for name in names] == [True] * 5 + [False] * 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("levels", 0, "levels: "),
        ("input_sise", 3, "input_sise: unknown key"),
        ("tasks", {"juggling": {"params": {}, "labels": {}}}, "there is no src/egopack/tasks/juggling.py"),
        ("tasks", {"ar": {"params": {"levels": 1}, "labels": {}}}, "config.json: network.tasks.ar.params"),
    ],
)
def test_a_specification_that_fits_no_network(key: str, value: object, message: str, tmp_path: Path) -> None:
    saved(tmp_path, "ar")
    config = json.loads((tmp_path / CONFIG).read_text())
    config["network"] |= {key: value}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        load_checkpoint(tmp_path)


def test_what_is_known_comes_back_and_changes_no_weights(tmp_path: Path) -> None:
    network = saved(tmp_path / "bare", "ar", "mq")
    known = known_of(network)
    save_checkpoint(tmp_path / "told", network, known=known)
    config = read_config(tmp_path / "told")
    assert {name: getattr(config, name) for name in About.model_fields} == dict(known)
    assert [one.name for one in config.features] == ["b", "a"]  # not sorted: this is how rows stand side by side
    assert class_names(config, "ar", config.network.tasks["ar"].labels) == small.LABELS["ar"]
    bare = read_config(tmp_path / "bare")
    assert class_names(bare, "mq", bare.network.tasks["mq"].labels) == {"moments": ("0", "1", "2", "3")}
    assert (tmp_path / "bare" / WEIGHTS).read_bytes() == (tmp_path / "told" / WEIGHTS).read_bytes()


def known_of(network: Network) -> About:
    sets = {"b": FeatureSet(size=4), "a": FeatureSet(size=2, stride=8, window=32)}
    return about("multi/all", sets, {task: small.LABELS[task] for task in network.task})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": [{"name": "b", "size": 5}]}, r"features: 5 numbers a row, but network.input_size is 6"),
        ({"labels": {"mq": {"moments": ["cut"]}}}, r"labels.mq.moments: 1 names, but the network has 4"),
        ({"lables": {}}, r"lables: unknown key"),
        ({"scores": {"mq": {"map": "high"}}}, r"scores.mq.map: .* \(got 'high'\)"),
    ],
)
def test_a_config_that_contradicts_itself(change: dict[str, object], message: str, tmp_path: Path) -> None:
    saved(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=r"config\.json: " + message):
        load_checkpoint(tmp_path)


def test_a_checkpoint_of_the_form_before_says_what_to_do(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / CONFIG).rename(tmp_path / "model.json")
    with pytest.raises(UserError, match=r"version 0\.2, without config\.json; train or import it again"):
        load_checkpoint(tmp_path)


def test_a_full_disk_leaves_no_checkpoint_of_two_halves(tmp_path: Path) -> None:
    network = saved(tmp_path)
    with pytest.raises(OSError, match="File too large") as caught, full_disk(100):
        save_checkpoint(tmp_path, network)
    assert caught.value.filename == str(tmp_path / WEIGHTS)
    with pytest.raises(UserError, match="not a whole checkpoint"):
        load_checkpoint(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {WEIGHTS, CARD}


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_neither_written_nor_read(value: float, tmp_path: Path) -> None:
    network = saved(tmp_path, "ar")
    name = "task.ar.noun.0.weight"
    weights = load_file(tmp_path / WEIGHTS)
    weights[name][1, 2] = value
    save_file(weights, tmp_path / WEIGHTS)
    message = rf"model\.safetensors: 1 of {len(weights)} tensors hold NaN or Inf: task\.ar\.noun\.0\.weight; "
    with pytest.raises(UserError, match=message):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path, network)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    network.get_parameter(name).data[1, 2] = value
    with pytest.raises(UserError, match=message):
        save_checkpoint(tmp_path, network)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
