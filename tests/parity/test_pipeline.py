"""Samples of the fixture corpus, and the training runs that start from its weights."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egopack.data.grid import Grid
from egopack.data.loader import Loader
from egopack.data.samples import Sample
from egopack.data.shard_reader import FeatureShards
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.features import read_features
from egopack.ego4d.skips import Skips
from egopack.model.network import Network, NetworkSpec
from egopack.params import FeatureSet, OptimizerParams
from egopack.preparation.shards import write_shards
from egopack.tasks.base import SampleSource, load_task
from egopack.training.loop import step
from egopack.training.optimizer import make_optimizer
from tests.parity.conftest import Fixture, backbone_params, interaction_params, read

TASKS = ("ar", "oscc", "lta", "pnr", "mq")
ANTICIPATED = 20
STRIDE, FPS = 16, 30.0
RUN_ATOL, RUN_RTOL = 1e-4, 1e-3


@pytest.fixture(scope="module")
def corpus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Annotations, FeatureShards]:
    """The fixture corpus as annotations and shards, made as the pipeline makes them."""
    root = Path(request.config.getoption("parity_dir")) / "pipeline" / "corpus"
    out = tmp_path_factory.mktemp("shards")
    (folder,) = (root / "features").iterdir()
    files = sorted(folder.iterdir())
    size = read_features(files[0]).shape[1]
    skips = Skips()
    write_shards(root, {folder.name: FeatureSet(size=size)}, [path.stem for path in files], out, skips=skips)
    return Annotations(root, "v1"), FeatureShards(out)


def samples_of(corpus: tuple[Annotations, FeatureShards], task: str, split: str) -> list[Sample]:
    kind = load_task(task)
    params = kind.Params.model_validate(
        {
            "annotations": "",
            "levels": 1,
            "samples": {"horizon": ANTICIPATED} if task == "lta" else {},
            "model": {"features": 4},
        }
    )
    annotations, shards = corpus
    return kind.samples(
        SampleSource(annotations, {uid: shards.length(uid) for uid in shards.uids}, Grid(STRIDE, FPS), Skips()),
        split,
        params,
    )


def described(task: str, sample: Sample) -> dict[str, Any]:
    """A sample in the words of samples_*.json."""
    targets = sample.targets
    out = {
        "key": sample.key,
        "video_uid": sample.video_uid,
        "first_row": int(sample.rows[0]),
        "num_rows": len(sample.rows),
        "first_pos_s": float(sample.pos[0]),
        "last_pos_s": float(sample.pos[-1]),
    }
    if task in ("ar", "oscc", "mq"):
        segments = targets["segments"] if task == "mq" else sample.segments
        assert segments is not None
        out["segments_s"] = segments.tolist()
    if task in ("ar", "lta"):
        out |= {"verbs": targets["verbs"].tolist(), "nouns": targets["nouns"].tolist()}
    if task == "oscc":
        out["labels"] = targets["changes"].tolist()
    if task == "mq":
        out["labels"] = targets["classes"].tolist()
    if task == "pnr":
        from egopack.tasks.pnr import candidate_frames

        start, end = sample.metadata["window"].tolist()
        out |= {
            "rows": sample.rows.tolist(),
            "label_index": int(targets["frame_labels"].argmax()),
            "candidate_frames": candidate_frames(start, end).tolist(),
            "start_frame": start,
            "end_frame": end,
            "pnr_frame": int(sample.metadata["pnr"][0]),
        }
    return out


def test_every_pipeline_fixture_has_a_test(parity_dir: Path) -> None:
    paths = {path for path in (parity_dir / "pipeline").iterdir() if path.is_file()}
    known = Counter(
        path for pattern in ("samples_*_*.json", "train_*.npz") for path in (parity_dir / "pipeline").glob(pattern)
    )
    assert paths
    assert set(known) == paths


@pytest.mark.paths("pipeline/samples_*_*.json")
def test_samples(path: Path, corpus: tuple[Annotations, FeatureShards]) -> None:
    _, task, split = path.stem.split("_")
    expected = json.loads(path.read_text())
    found = sorted(
        (described(task, sample) for sample in samples_of(corpus, task, split)), key=lambda item: item["key"]
    )
    assert [item["key"] for item in found] == [item["key"] for item in expected]
    for got, want in zip(found, expected, strict=True):
        assert got.keys() == want.keys()
        for name, value in want.items():
            if name.endswith("_s"):
                np.testing.assert_allclose(got[name], value, atol=1e-4, err_msg=f"{want['key']}: {name}")
            else:
                assert got[name] == value, f"{want['key']}: {name}"


def network_of(fixture: Fixture, tasks: dict[str, str], levels: int) -> Network:
    """A network of the fixture's sizes with its weights; `tasks` maps each task to the prefix of its parameters."""
    arrays, meta = fixture.arrays, fixture.meta
    hidden = len(arrays["param/backbone/projection/0/bias"])
    gate_size = len(arrays["param/backbone/level/0/conv/0/gate/0/bias"])
    specs: dict[str, Any] = {}
    for task, prefix in tasks.items():
        features = len(arrays[f"{prefix}neck/1/bias"])
        inner = next(
            (
                len(arrays[f"{prefix}{head}/0/bias"])
                for head in ("verb", "classifier")
                if f"{prefix}{head}/0/bias" in arrays
            ),
            1,
        )
        labels = {"verbs": 1, "nouns": 1, "moments": 1, "changes": 2}
        for label, name in (("verbs", "verb"), ("nouns", "noun"), ("moments", "classifier")):
            if f"{prefix}{name}/out/bias" in arrays:
                labels[label] = len(arrays[f"{prefix}{name}/out/bias"])
        model: dict[str, Any] = {"features": features, "classifier_hidden": inner}
        if task == "lta":
            model["gate_size"] = len(arrays[f"{prefix}head/conv/0/gate/0/bias"])
        params = {
            "annotations": "",
            "levels": levels if task == "mq" else 1,
            "samples": {"horizon": ANTICIPATED} if task == "lta" else {},
            "model": model,
        }
        specs[task] = {"params": params, "labels": labels}
    spec: dict[str, Any] = {
        "input_size": arrays["param/backbone/projection/0/weight"].shape[1],
        "levels": len({name.split("/")[3] for name in arrays if name.startswith("param/backbone/level/")}),
        "backbone": backbone_params(hidden, conv={"gate_size": gate_size}).model_dump(),
        "tasks": specs,
    }
    if "aux" in meta:
        spec["support"] = {
            name: {
                "features": len(arrays[f"param/aux/{name}/neck/1/bias"]),
                "dropout": 0.0,
                "prototypes": len(arrays[f"param/egopack/{name}/prototypes"]),
            }
            for name in meta["aux"]
        }
        spec["interaction"] = interaction_params(meta).model_dump()
    network = Network(NetworkSpec.model_validate(spec))
    fixture.load(network.backbone, "param/backbone/")
    for task, prefix in tasks.items():
        fixture.load(network.head(task), prefix)
    for name in meta.get("aux", ()):
        fixture.load(network.support[name], f"param/aux/{name}/")
        fixture.load(network.egopack[name], f"param/egopack/{name}/")
    return network.to(fixture.device).train()


@pytest.mark.paths("pipeline/train_*.npz")
def test_training_run(
    path: Path, corpus: tuple[Annotations, FeatureShards], request: pytest.FixtureRequest, code_path: str
) -> None:
    fixture = read(path, request.config.getoption("parity_device"))
    meta = fixture.meta
    tasks = meta.get("tasks") or [meta.get("task") or meta["novel"]]
    prefixes = {task: f"param/task/{task}/" if "tasks" in meta else "param/task/" for task in tasks}
    network = network_of(fixture, prefixes, meta["levels"])
    params = OptimizerParams(
        epochs=1,
        warmup_epochs=0,
        lr=meta["lr"],
        weight_decay=meta["weight_decay"],
        grad_clip_norm=meta["grad_clip_norm"],
    )
    optimizer = make_optimizer(network, params)
    loaders, by_key = {}, {}
    for task in tasks:
        split = meta["split"].get(task, "train") if isinstance(meta["split"], dict) else meta["split"]
        samples = samples_of(corpus, task, split)
        by_key[task] = {sample.key: sample for sample in samples}
        loaders[task] = Loader(
            samples, corpus[1], batch_size=1, levels=meta["levels"] if task == "mq" else 1, radius_s=2.0
        )
    plan = meta["batches"] if isinstance(meta["batches"], dict) else {tasks[0]: meta["batches"]}
    losses: dict[str, list[float]] = {task: [] for task in tasks}
    norms = []
    for index in range(meta["steps"]):
        batches = {
            task: loaders[task].batch(0, 0, [by_key[task][key] for key in plan[task][index]]).to(fixture.device)
            for task in tasks
        }
        report = step(network, optimizer, batches, meta["grad_clip_norm"])
        norms.append(float(report.grad_norm))
        for task in tasks:
            losses[task].append(float(sum(report.losses[task].values())))
    for task in tasks:
        expected = fixture.arrays[f"out/loss/{task}" if "tasks" in meta else "out/loss"]
        np.testing.assert_allclose(losses[task], expected, atol=RUN_ATOL, rtol=RUN_RTOL, err_msg=task)
    if fixture.has("out/grad_norm"):
        np.testing.assert_allclose(norms, fixture.arrays["out/grad_norm"], atol=RUN_ATOL, rtol=RUN_RTOL)
