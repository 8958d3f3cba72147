"""What stages read, compute and write, against the same by calls of the library, with params that are no defaults.

A stage that takes another split, seed, batch size, precision or param than the one that is meant gives another result.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch

from egopack.data.grid import Grid
from egopack.data.loader import Loader
from egopack.data.samples import Sample, read_samples
from egopack.data.shard_reader import FeatureShards
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.skips import Skips
from egopack.evaluation.predict import predict
from egopack.model.checkpoint import load_checkpoint
from egopack.model.network import Network, NetworkSpec, TaskSpec
from egopack.model.prototypes import build_prototypes, load_prototypes
from egopack.params import Tolerable, load_params
from egopack.tasks.base import SampleSource, check_task, load_task
from egopack.training.loop import EpochReport, train
from tests.support.workplace import Workplace

TASKS = ("ar", "lta", "oscc")
SEED, STRIDE, WINDOW, FPS = 7, 16, 48, 25.0
CPU = torch.device("cpu")
LENGTHS = {"ar": 3, "lta": 9, "oscc": 5}  # batch sizes alone
EXTRAS = {"evaluate_every": 1, "ema_decay": 0.8, "patience": 2}


def settings(params: dict[str, Any]) -> None:
    params["seed"] = SEED
    params["data"]["features"]["egovlp"] |= {"stride": STRIDE, "window": WINDOW, "fps": FPS}
    params["data"]["tolerate"] = list(get_args(Tolerable))  # the corpus has 30 frames a second
    params["runtime"] |= {"reproducible": "here", "precision": "bf16", "threads": 1, "device": "cpu"}
    params["tasks"] = {name: params["tasks"][name] for name in TASKS}
    for name, block in params["tasks"].items():
        block["train"] |= {"batch_size": LENGTHS[name], "epochs": 4, "lr": 0.03, "extras": dict(EXTRAS)}
    params["tasks"]["lta"]["egopack"] |= {"batch_size": 4, "lr": 0.004}
    params["tasks"]["lta"]["decode"] = {"candidates": 3}
    params["packs"] = {"helpers": ["ar", "oscc"], "all": list(TASKS)}
    params["helped_by"] = {"lta": "helpers"}
    params["comparison"] = {"multi_pack": "all"}
    params["multi"] |= {"base_batch": 2, "levels": 2, "lr": 0.005}


RUN = (
    *(["fingerprint"], ["shard"], *(["index", name] for name in TASKS), *(["train_single", name] for name in TASKS)),
    *(["evaluate_single", name] for name in TASKS),
    *(["fill_pack", "all"], ["fill_pack", "helpers"], ["train_multi", "all"], ["train_multi", "helpers"]),
    *(
        ["evaluate_multi", "all"],
        ["build_prototypes", "helpers"],
        ["train_egopack", "lta"],
        ["evaluate_egopack", "lta"],
        ["compare"],
    ),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Iterator[Workplace]:
    """A folder in which all stages have run; it is the current one."""
    folder = tmp_path_factory.mktemp("oracle")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("EGO4D_ROOT", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        place = Workplace(folder, small_corpus)
        place.edit_params(settings)
        for stage, *arguments in RUN:
            done = place.run(stage, *arguments)
            assert done.exit_code == 0, (stage, done.output)
        yield place


def params_of(name: str) -> Any:
    return check_task(name, load_params("params.yaml").tasks[name])


def samples_of(name: str, split: str) -> list[Sample]:
    return read_samples(f"data/samples/{name}/{split}.h5")


def labels_of(name: str) -> dict[str, tuple[str, ...]]:
    return {key: tuple(value) for key, value in load_task(name).labels(Annotations(Path("raw"), "v1")).items()}


def loader_of(name: str, batch_size: int) -> Loader:
    augment = partial(lambda sample, generator: load_task(name).augment(sample, params_of(name), generator))
    options = {"levels": params_of(name).levels, "radius_s": load_params("params.yaml").backbone.radius_s, "seed": SEED}
    return Loader(
        samples_of(name, "train"), FeatureShards("data/shards"), batch_size=batch_size, augment=augment, **options
    )


def network_of(*names: str, levels: int) -> Network:
    """With weights as the seed of params draws them."""
    tasks = {
        name: TaskSpec(
            params=params_of(name).model_dump(mode="json", include={"annotations", "levels", "samples", "model"}),
            labels={key: len(value) for key, value in labels_of(name).items()},
        )
        for name in names
    }
    width = FeatureShards("data/shards").width
    torch.manual_seed(SEED)
    backbone = load_params("params.yaml").backbone
    return Network(NetworkSpec(input_size=width, levels=levels, backbone=backbone, tasks=tasks))


def table_of(network: Network, name: str, decode: Any) -> pd.DataFrame:
    features = FeatureShards("data/shards")
    return predict(network, name, samples_of(name, "val"), features, decode, seed=SEED, device=CPU)


def assert_weights(network: Network, folder: str) -> None:
    found = load_checkpoint(folder).state_dict()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found[key], value, atol=0, rtol=0, msg=f"{folder}: {key}")


def assert_scores(found: dict[str, Any], expected: dict[str, float]) -> None:
    assert found == {key: pytest.approx(value, rel=1e-5) for key, value in expected.items()}


@pytest.mark.parametrize("name", TASKS)
def test_samples_lie_on_the_grid_of_the_stride(name: str, place: Workplace) -> None:
    lengths = {path.stem: len(place.matrix(path)) for path in place.features()}
    for split in ("train", "val", "test_unannotated"):
        source = SampleSource(Annotations(Path("raw"), "v1"), lengths, Grid(STRIDE, FPS), Skips())
        expected = load_task(name).samples(source, split, params_of(name))
        found = samples_of(name, split)
        assert [one.key for one in found] == [one.key for one in expected]
        for one, want in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.rows, want.rows)
            np.testing.assert_array_equal(one.pos, want.pos)
            assert all(np.array_equal(one.targets[key], value) for key, value in want.targets.items())
    assert {
        key: tuple(value) for key, value in json.loads(Path(f"data/samples/{name}/labels.json").read_text()).items()
    } == labels_of(name)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_alone(name: str, place: Workplace) -> None:
    """Trained in bf16 from the seed, the averaged weights of the best epoch, scored on the validation split."""
    network, how = network_of(name, levels=params_of(name).levels), params_of(name).train

    def evaluate(network: Network) -> dict[str, tuple[float, str]]:
        task = load_task(name)
        scores = task.score(table_of(network, name, task.Decode()), samples_of(name, "val"), labels_of(name))
        return {f"{name}/{key}": (float(f"{scores[key]:.6g}"), better) for key, better in task.headline.items()}

    reports = train(
        network, {name: loader_of(name, LENGTHS[name])}, how, device=CPU, evaluate=evaluate, precision="bf16"
    )
    assert_weights(network, f"data/models/single/{name}")
    assert_curve(f"metrics/curves/single/{name}.csv", reports)
    table = table_of(network, name, params_of(name).decode)
    found = pd.read_parquet(f"data/predictions/single/{name}.parquet")
    pd.testing.assert_frame_equal(found, table, check_dtype=False)
    assert set(found["key"]) == {one.key for one in samples_of(name, "val")}
    scores = load_task(name).score(table, samples_of(name, "val"), labels_of(name))
    assert_scores(json.loads(Path(f"metrics/single/{name}.json").read_text()), scores)


def assert_curve(path: str, reports: list[EpochReport]) -> None:
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["grad_norm"]) for row in rows] == pytest.approx([one.grad_norm for one in reports], rel=1e-5)
    assert [float(row["loss"]) for row in rows] == pytest.approx(
        [sum(one.losses.values()) for one in reports], rel=1e-5
    )


@pytest.mark.parametrize("name", TASKS)
def test_chance_knows_the_training_split(name: str, place: Workplace) -> None:
    task, labels = load_task(name), labels_of(name)
    train_samples, val = samples_of(name, "train"), samples_of(name, "val")
    guessed = task.chance(train_samples, val, labels, np.random.default_rng(SEED))
    assert_scores(json.loads(Path(f"metrics/chance/{name}.json").read_text()), task.score(guessed, val, labels))


def test_tasks_together(place: Workplace) -> None:
    """Each with a batch in proportion to its samples."""
    counts = {name: len(samples_of(name, "train")) for name in TASKS}
    sizes = {name: 2 * (count // min(counts.values())) for name, count in counts.items()}
    assert len(set(sizes.values())) > 1
    params = load_params("params.yaml")
    network = network_of(*TASKS, levels=2)
    loaders = {name: loader_of(name, sizes[name]) for name in TASKS}
    reports = train(network, loaders, params.multi, device=CPU, precision="bf16")
    assert_weights(network, "data/models/multi/all")
    assert_curve("metrics/curves/multi/all.csv", reports)
    scores = json.loads(Path("metrics/multi/all.json").read_text())
    for name in TASKS:
        table = table_of(network, name, params_of(name).decode)
        pd.testing.assert_frame_equal(
            pd.read_parquet(f"data/predictions/multi/all/{name}.parquet"), table, check_dtype=False
        )
        assert_scores(scores[name], load_task(name).score(table, samples_of(name, "val"), labels_of(name)))


def test_prototypes_are_of_the_training_split(place: Workplace) -> None:
    labels = labels_of("ar")
    options: dict[str, Any] = {"levels": 1, "radius_s": load_params("params.yaml").backbone.radius_s}
    loader = Loader(samples_of("ar", "train"), FeatureShards("data/shards"), batch_size=1, **options)
    sizes = {"verbs": len(labels["verbs"]), "nouns": len(labels["nouns"])}
    expected = build_prototypes(load_checkpoint("data/models/multi/helpers"), loader, device=CPU, **sizes)
    found = load_prototypes(next(Path("data/prototypes").rglob("helpers*.safetensors")))
    torch.testing.assert_close(found.rows, expected.rows, atol=1e-5, rtol=1e-5)
    assert torch.equal(found.verb, expected.verb)
    assert torch.equal(found.noun, expected.noun)


def test_a_task_with_help(place: Workplace) -> None:
    from egopack.model.regimes import novel_network

    pack = load_checkpoint("data/models/multi/helpers")
    prototypes = load_prototypes(next(Path("data/prototypes").rglob("helpers*.safetensors")))
    sizes = {key: len(value) for key, value in labels_of("lta").items()}
    torch.manual_seed(SEED)
    load_checkpoint("data/models/multi/helpers")  # which draws weights, before it reads others
    network = novel_network("lta", params_of("lta"), sizes, pack, prototypes, load_params("params.yaml").interaction)
    train(network, {"lta": loader_of("lta", 4)}, params_of("lta").egopack, device=CPU, precision="bf16")
    assert_weights(network, "data/models/egopack/lta")
    table = table_of(network, "lta", params_of("lta").decode)
    pd.testing.assert_frame_equal(pd.read_parquet("data/predictions/egopack/lta.parquet"), table, check_dtype=False)
    scores = load_task("lta").score(table, samples_of("lta", "val"), labels_of("lta"))
    assert_scores(json.loads(Path("metrics/egopack/lta.json").read_text()), scores)


def test_the_comparison_has_every_regime_in_its_column(place: Workplace) -> None:
    """Three tasks of which one has help; the multi-task training of the pack that `comparison` names."""
    headlines = {
        "ar": ["verb_top1", "noun_top1"],
        "lta": ["verb_ed", "noun_ed"],
        "oscc": ["accuracy"],
    }
    table = pd.read_csv("metrics/comparison.csv", index_col="metric")
    assert list(table.index) == [f"{name}.{metric}" for name, metrics in headlines.items() for metric in metrics]
    multi = json.loads(Path("metrics/multi/all.json").read_text())
    for key, row in table.iterrows():
        name, metric = str(key).split(".")
        expected = {"multi": multi[name][metric]}
        for regime in ("chance", "single", "egopack") if name == "lta" else ("chance", "single"):
            expected[regime] = json.loads(Path(f"metrics/{regime}/{name}.json").read_text())[metric]
        assert row.dropna().to_dict() == pytest.approx(expected, rel=1e-5)
