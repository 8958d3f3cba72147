"""Clips longer than the 1,024 rows that the published code stops at: from the annotations to a training step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egopack.data.shard_reader import FeatureShards
from egopack.data.splits import read_labels, read_split
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.skips import Skips
from egopack.evaluation.predict import predict
from egopack.model.regimes import single_network
from egopack.params import FeatureSet, TrainParams
from egopack.preparation.index import index_task
from egopack.preparation.shards import write_shards
from egopack.tasks.base import check_task, load_task
from egopack.training.loaders import train_loader
from egopack.training.loop import train
from tests.support import small

ROWS, WIDTH = 3000, 6
START, END = 160, 160 + 16 * ROWS  # frames of the clip in its video
EVENTS = [(START + 16 * row, START + 16 * row + 240) for row in (0, 1000, 1023, 1500, 2985)]
CPU = torch.device("cpu")
SOURCES = {"ar": "fho_lta", "oscc": "fho_oscc-pnr", "mq": "moments"}
TRAIN = {"batch_size": 2, "epochs": 1, "warmup_epochs": 0, "lr": 1e-3}


def actions(uid: str) -> list[dict[str, Any]]:
    clip = {"video_uid": uid, "clip_uid": f"clip-{uid}", "clip_parent_start_frame": START, "clip_parent_end_frame": END}
    return [
        clip
        | {"action_clip_start_frame": start - START, "action_clip_end_frame": end - START, "action_idx": index}
        | {"verb_label": index % 2, "noun_label": index % 3}
        for index, (start, end) in enumerate(EVENTS)
    ]


def windows(uid: str) -> list[dict[str, Any]]:
    return [
        {"video_uid": uid, "clip_id": f"clip-{uid}", "unique_id": f"{uid}-{index}", "state_change": index % 2 == 0}
        | {"parent_start_frame": start, "parent_end_frame": end}
        for index, (start, end) in enumerate(EVENTS)
    ]


def moments(uid: str) -> dict[str, Any]:
    labels = [
        {"label": "ab"[index % 2], "primary": True, "video_start_frame": start, "video_end_frame": end}
        for index, (start, end) in enumerate(EVENTS)
    ]
    clip = {"clip_uid": f"clip-{uid}", "video_start_frame": START, "video_end_frame": END}
    clip |= {"video_start_sec": START / 30, "video_end_sec": END / 30, "annotations": [{"labels": labels}]}
    return {"video_uid": uid, "clips": [clip]}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of four long videos: two to train on, one to validate with, one to test."""
    root = tmp_path_factory.mktemp("long")
    annotations, features = root / "annotations" / "v1", root / "features" / "f"
    annotations.mkdir(parents=True)
    features.mkdir(parents=True)
    (annotations / "fho_lta_taxonomy.json").write_text(json.dumps({"verbs": ["a", "b"], "nouns": ["c", "d", "e"]}))
    for split, uids in (("train", ["t0", "t1"]), ("val", ["v0"]), ("test_unannotated", ["x0"])):
        lists: dict[str, dict[str, list[Any]]] = {
            "fho_lta": {"clips": [row for uid in uids for row in actions(uid)]},
            "fho_oscc-pnr": {"clips": [row for uid in uids for row in windows(uid)]},
            "moments": {"videos": [moments(uid) for uid in uids]},
        }
        for source, content in lists.items():
            (annotations / f"{source}_{split}.json").write_text(json.dumps(content))
        for uid in uids:
            np.save(features / f"{uid}.npy", rows_of(uid))
    uids = [path.stem for path in features.iterdir()]
    write_shards(root, {"f": FeatureSet(size=WIDTH)}, uids, root / "shards", skips=Skips())
    return root


def rows_of(uid: str) -> np.ndarray:
    return np.random.default_rng(list(uid.encode())).standard_normal((ROWS + 20, WIDTH), dtype=np.float32)


@pytest.mark.parametrize("task", SOURCES)
def test_from_annotations_to_a_training_step_and_predictions(task: str, raw: Path, tmp_path: Path) -> None:
    levels = 8 if task == "mq" else 1
    block = check_task(
        task,
        {"annotations": SOURCES[task], "levels": levels, "samples": {}, "train": TRAIN, "egopack": TRAIN}
        | {"model": {"features": small.HIDDEN, "classifier_hidden": 7}},
    )
    shards, folder = FeatureShards(raw / "shards"), tmp_path / task
    rows = shards.lengths()
    report = index_task(task, load_task(task), block, Annotations(raw, "v1"), rows, small.FEATURES, folder)
    assert [part["samples"] for part in report.values()] == [2, 1, 1]
    assert not any(part["skipped"] for part in report.values())
    samples = read_split(folder, "train")
    last = EVENTS[-1][1] if task == "oscc" else END  # a clip of windows ends with the last of them
    for sample in samples:
        np.testing.assert_array_equal(sample.rows, np.arange(START // 16, last // 16))
        expected = (np.array(EVENTS) - START) / 30.0
        segments = sample.targets["segments"] if task == "mq" else sample.segments
        np.testing.assert_allclose(segments, expected, rtol=1e-6)

    loader = train_loader(task, block, samples, shards, batch_size=2, radius_s=2.0, seed=0)
    ((batch, chosen),) = list(loader.epoch())
    assert min(len(sample.rows) for sample in chosen) == ROWS
    whole = np.concatenate([rows_of(sample.video_uid)[sample.rows] for sample in chosen])
    np.testing.assert_array_equal(batch.x.numpy(), whole)

    torch.manual_seed(0)
    labels = {name: len(classes) for name, classes in read_labels(folder).items()}
    network = single_network(WIDTH, small.backbone_params(), task, block, labels)
    batch.x.requires_grad_()
    sum(network.head(task).loss(network(task, batch), batch).values()).backward()  # type: ignore[attr-defined]
    for row in (5, 1030, 1505, 2990):  # inside of the first event, and of those past row 1,024
        assert batch.x.grad is not None
        assert batch.x.grad[row].any()
    reports: list[Any] = []
    train(network, {task: loader}, TrainParams.model_validate(TRAIN), device=CPU, on_epoch=reports.append)
    assert all(np.isfinite(value) and value > 0 for value in reports[0].losses.values())
    table = predict(network, task, read_split(folder, "val"), shards, block.decode, seed=0, device=CPU)
    if task == "mq":
        assert table["end"].max() > 1024 * 16 / 30
    else:
        assert len(table) == len(EVENTS)
