"""Trainings that start from an imported checkpoint, through the commands of the stages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from egopack.model.checkpoint import load_checkpoint
from egopack.published.checkpoint import import_published
from egopack.synthetic.corpus import write_corpus
from tests.conftest import PARITY_DIR
from tests.support.workplace import SETTINGS, Workplace

PUBLISHED = next((PARITY_DIR / "published").glob("*.pth"))
IMPORTED = "data/imported/published"
NO_EPOCH: dict[str, Any] = {"epochs": 0, "warmup_epochs": 0, "extras": {"start_from": IMPORTED}}
PACK = ["ar", "oscc", "lta", "pnr"]  # the tasks of the published checkpoint


def merge(params: dict[str, Any], settings: dict[str, Any]) -> None:
    for key, value in settings.items():
        if isinstance(value, dict) and key in params:
            merge(params[key], value)
        else:
            params[key] = value


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Samples of a corpus with the classes of the published checkpoint, and what importing it printed as params."""
    network = import_published(PUBLISHED)
    labels = network.spec.tasks["ar"].labels
    folder = tmp_path_factory.mktemp("start_from")
    sizes = {"feature_size": network.spec.input_size, "verbs": labels["verbs"], "nouns": labels["nouns"]}
    write_corpus(folder / "corpus", SETTINGS.model_copy(update=sizes))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("EGO4D_ROOT", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        place = Workplace(folder, folder / "corpus")
        said = succeed(place, "import_checkpoint", str(PUBLISHED), "--out", IMPORTED)
        settings = yaml.safe_load(said.split("\n", 1)[1])
        settings["data"] = {"features": {SETTINGS.feature_set: {"size": network.spec.input_size}}}
        settings["tasks"]["mq"] = {"levels": 2}
        settings |= {"packs": {"published": PACK, "all": [*PACK, "mq"], "mq": ["mq"]}}
        settings |= {"helped_by": {"mq": "published"} | dict.fromkeys(PACK, "mq")}
        place.edit_params(lambda params: (params.pop("packs"), params.pop("helped_by")))
        place.edit_params(lambda params: merge(params, settings))
        succeed(place, "shard")
        for task in (*PACK, "mq"):
            succeed(place, "index", task)
        for pack in ("published", "all"):
            succeed(place, "fill_pack", pack)
        yield place


@pytest.fixture(autouse=True)
def params(place: Workplace) -> Iterator[None]:
    """params.yaml, put back afterwards."""
    before = Path("params.yaml").read_bytes()
    yield
    Path("params.yaml").write_bytes(before)


def succeed(place: Workplace, *command: str) -> str:
    done = place.run(*command)
    assert done.exit_code == 0, done.output
    return done.output


def refused(place: Workplace, *command: str) -> str:
    done = place.run(*command)
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    return done.output.removeprefix("Error: ")


def weights(folder: str) -> dict[str, Tensor]:
    return load_checkpoint(folder).state_dict()


def assert_those_of_the_published(own: dict[str, Tensor], *prefixes: str) -> None:
    theirs = import_published(PUBLISHED).state_dict()
    names = [name for name in own if name.startswith(prefixes)]
    assert names
    for name in names:
        assert torch.equal(own[name], theirs[name]), name


def test_evaluating_one_task_without_training(place: Workplace) -> None:
    for task in ("ar", "lta"):
        place.edit_params(lambda params, task=task: merge(params["tasks"][task]["train"], NO_EPOCH))  # type: ignore[misc]
        assert f"single/{task}: starts from {IMPORTED}\n" in succeed(place, "train_single", task)
        assert_those_of_the_published(weights(f"data/models/single/{task}"), "")
        succeed(place, "evaluate_single", task)
        assert json.loads(Path(f"metrics/single/{task}.json").read_text())


def test_fine_tuning_one_task(place: Workplace) -> None:
    curves = []
    for settings in ({}, {"extras": {"start_from": IMPORTED}}):
        place.edit_params(lambda params, of=settings: merge(params["tasks"]["oscc"]["train"], of))  # type: ignore[misc]
        said = succeed(place, "train_single", "oscc")
        assert ("starts from" in said) == bool(settings)
        curves.append(Path("metrics/curves/single/oscc.csv").read_text())
    assert curves[0] != curves[1]


def test_a_pack_that_helps_a_novel_task(place: Workplace) -> None:
    place.edit_params(lambda params: merge(params["multi"], NO_EPOCH))
    place.edit_params(lambda params: params["tasks"]["mq"]["egopack"].update(extras={"freeze": ["backbone", "necks"]}))
    succeed(place, "train_multi", "published")
    assert_those_of_the_published(weights("data/models/multi/published"), "")
    succeed(place, "evaluate_multi", "published")
    assert set(json.loads(Path("metrics/multi/published.json").read_text())) == set(PACK)
    succeed(place, "build_prototypes", "published")
    succeed(place, "train_egopack", "mq")
    novel = weights("data/models/egopack/mq")
    assert_those_of_the_published(novel, "backbone.")
    support = {name.replace("support.", "task."): value for name, value in novel.items() if name.startswith("support.")}
    assert_those_of_the_published(support, *(f"task.{task}.neck." for task in PACK))
    succeed(place, "evaluate_egopack", "mq")


def test_a_novel_task_that_starts_from_one(place: Workplace) -> None:
    """EgoPack's own training may go on from one of EgoPack; the pack is still its help."""
    test_a_pack_that_helps_a_novel_task(place)
    shutil.copytree("data/models/egopack/mq", "data/imported/novel", dirs_exist_ok=True)
    before = weights("data/imported/novel")
    no_epoch = NO_EPOCH | {"extras": {"start_from": "data/imported/novel"}}
    place.edit_params(lambda params: merge(params["tasks"]["mq"]["egopack"], no_epoch))
    assert "starts from data/imported/novel" in succeed(place, "train_egopack", "mq")
    assert all(torch.equal(value, before[name]) for name, value in weights("data/models/egopack/mq").items())
    place.edit_params(lambda params: merge(params["tasks"]["mq"]["egopack"], NO_EPOCH))
    assert "epochs 0 would leave them untrained: task.mq." in refused(place, "train_egopack", "mq")


def test_a_task_that_the_checkpoint_lacks(place: Workplace) -> None:
    place.edit_params(lambda params: merge(params["multi"], NO_EPOCH))
    message = refused(place, "train_multi", "all")
    assert message.startswith(f"{IMPORTED}: ")
    assert "weights are not there, and epochs 0 would leave them untrained: task.mq." in message
    place.edit_params(lambda params: params["multi"].update(epochs=1))
    assert "multi/all: starts from data/imported/published; mq from scratch" in succeed(place, "train_multi", "all")


def test_one_checkpoint_for_each_pack(place: Workplace) -> None:
    place.edit_params(lambda params: merge(params["multi"], NO_EPOCH))
    place.edit_params(lambda params: params["multi"]["extras"].update(start_from="data/imported/{pack}"))
    assert "starts from data/imported/published" in succeed(place, "train_multi", "published")
    assert "'data/imported/all' is not a folder" in refused(place, "train_multi", "all")


def test_sizes_that_differ(place: Workplace) -> None:
    place.edit_params(lambda params: merge(params["tasks"]["ar"]["train"], NO_EPOCH))
    place.edit_params(lambda params: params["backbone"].update(hidden=32))
    message = refused(place, "train_single", "ar")
    assert message.startswith(f"{IMPORTED}: ")
    assert "backbone.projection.0.weight: (32, " in message


def manifests() -> dict[str, Any]:
    root = Path("data/manifest/start_from")
    return {
        str(path.relative_to(root).with_suffix("")): json.loads(path.read_text())["files"]
        for path in root.rglob("*.json")
    }


def test_fingerprint_notes_what_is_named(place: Workplace) -> None:
    succeed(place, "fingerprint")
    trainings = {f"{regime}/{task}" for regime in ("single", "egopack") for task in (*PACK, "mq")}
    assert manifests() == {name: {} for name in trainings | {"multi/published", "multi/all", "multi/mq"}}
    shutil.copytree(IMPORTED, "data/imported/other", dirs_exist_ok=True)
    extras = {"extras": {"start_from": "data/imported/other"}}
    place.edit_params(lambda params: merge(params["tasks"]["ar"]["train"], extras))
    place.edit_params(lambda params: merge(params["tasks"]["pnr"]["egopack"], extras))
    succeed(place, "fingerprint")
    first = manifests()
    assert {name for name, files in first.items() if files} == {"single/ar", "egopack/pnr"}
    assert set(first["single/ar"]) == {"config.json", "model.safetensors"}
    file = Path("data/imported/other/model.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    succeed(place, "fingerprint")
    second = manifests()
    assert {name for name in first if first[name] != second[name]} == {"single/ar", "egopack/pnr"}


def test_an_experiment_in_a_copy_finds_the_checkpoint(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.edit_params(lambda params: merge(params["tasks"]["ar"]["train"], {"extras": {"start_from": IMPORTED}}))
    succeed(place, "fingerprint")
    expected = manifests()
    copy = place.folder / ".dvc/tmp/exps/tmpx"
    copy.mkdir(parents=True)
    shutil.copy("params.yaml", copy)
    monkeypatch.setenv("DVC_ROOT", str(place.folder))
    monkeypatch.chdir(copy)
    succeed(place, "fingerprint")
    assert manifests() == expected
    assert expected["single/ar"]


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("data/imported/nowhere", "params.yaml: extras.start_from: 'data/imported/nowhere' is not a folder"),
        ("data/models", "params.yaml: extras.start_from: 'data/models' is what a stage writes"),
        ("data", "data/config.json: cannot be read"),
    ],
)
def test_folders_that_cannot_be_started_from(place: Workplace, folder: str, message: str) -> None:
    Path("data/models").mkdir(exist_ok=True)
    extras = {"extras": {"start_from": folder}}
    place.edit_params(lambda params: merge(params["tasks"]["ar"]["train"], extras))
    assert refused(place, "fingerprint").startswith(message)
