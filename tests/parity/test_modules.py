"""Every fixture of modules/ against the module it was computed by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from egopack.data.batch import nodes_in_segments
from egopack.data.loader import Loader
from egopack.data.moving import move
from egopack.data.samples import Sample
from egopack.model.network import Network, NetworkSpec
from egopack.model.prototypes import build_prototypes
from egopack.nn.backbone import Backbone
from egopack.nn.heads import segment_mean
from egopack.nn.interaction import Interaction
from egopack.nn.losses import diou_1d, sigmoid_focal
from egopack.nn.tdgc import TDGC
from egopack.tasks.base import Task, load_task
from tests.parity.conftest import Fixture, backbone_params, batch_of, interaction_params, pyramid_of

KNOWN = [
    "conv*",
    "backbone*",
    "segment_pool*",
    "head_*",
    "fused_*",
    "loss_*",
    "egopack_*",
    "prototypes*",
    "nms_*",
    "mq_decode*",
    "detection_*",
    "edit_distance*",
    "keyframe*",
]


def test_every_module_fixture_has_a_test(parity_dir: Path) -> None:
    paths = list((parity_dir / "modules").glob("*.npz"))
    counted = Counter(path for pattern in KNOWN for path in (parity_dir / "modules").glob(f"{pattern}.npz"))
    assert paths
    assert set(counted) == set(paths)
    assert max(counted.values()) == 1


@pytest.mark.fixtures("modules/conv*.npz")
def test_conv(fixture: Fixture, code_path: str) -> None:
    meta = fixture.meta
    level = pyramid_of(fixture.arrays["in/pos"], fixture.arrays["in/video"], 1, meta["radius_s"])[0]
    assert len(level.edges.source) == int(fixture.arrays["out/num_edges"])
    gate_size, size = len(fixture.arrays["param/gate/0/bias"]), fixture.arrays["in/x"].shape[1]
    conv = TDGC(
        size,
        gate_size=gate_size,
        aggr=meta["aggr"],
        signed=meta["signed"],
        gated=meta["gated"],
        gate_activation=meta["gate_activation"],
    )
    fixture.load(conv)
    fixture.check("x", conv(fixture.tensor("in/x"), move(level.edges, fixture.device)))


@pytest.mark.fixtures("modules/backbone*.npz")
def test_backbone(fixture: Fixture, code_path: str) -> None:
    meta = fixture.meta
    params = backbone_params(
        meta["hidden"],
        radius_s=meta["radius_s"],
        convs_per_level=meta["convs_per_level"],
        pool=meta["pool"],
        projection=meta["projection"],
        ffn=meta["ffn"],
        ffn_expansion=meta["ffn_expansion"] or 4.0,
        pre_norm=meta["pre_norm"],
        conv={"gate_size": len(fixture.arrays["param/level/0/conv/0/gate/0/bias"])},
    )
    backbone = Backbone(fixture.arrays["in/x"].shape[1], meta["levels"], params).eval()
    fixture.load(backbone)
    pyramid = move(
        pyramid_of(fixture.arrays["in/pos"], fixture.arrays["in/video"], meta["levels"], meta["radius_s"]),
        fixture.device,
    )
    fixture.check("x", torch.cat(backbone(fixture.tensor("in/x"), pyramid)))
    fixture.check("pos", torch.cat([level.pos for level in pyramid]))
    fixture.check("video", torch.cat([level.video for level in pyramid]))
    fixture.check("level", np.concatenate([np.full(len(level.pos), level.index) for level in pyramid]))
    fixture.check("extent", np.concatenate([np.full(len(level.pos), level.extent) for level in pyramid]))


@pytest.mark.fixtures("modules/segment_pool*.npz")
def test_segment_pool(fixture: Fixture, code_path: str) -> None:
    pos, video = fixture.arrays["in/pos"], fixture.arrays["in/video"]
    segments, owner = fixture.arrays["in/segments"], fixture.arrays["in/segment_video"]
    order = np.argsort(owner, kind="stable")
    videos = range(int(video.max()) + 1)
    nodes = nodes_in_segments([pos[video == v] for v in videos], [segments[order][owner[order] == v] for v in videos])
    pooled = segment_mean(fixture.tensor("in/x"), move(nodes, fixture.device))
    fixture.check("x", pooled[np.argsort(order)])


TARGETS = {
    "ar": {"segments": "in/segments", "verbs": "in/verb_labels", "nouns": "in/noun_labels"},
    "oscc": {"segments": "in/segments", "changes": "in/labels"},
    "lta": {"verbs": "in/verb_labels", "nouns": "in/noun_labels"},
    "pnr": {"frame_labels": "in/labels"},
    "mq": {"segments": "in/segments", "classes": "in/labels"},
}


def make_task(fixture: Fixture, name: str, levels: int) -> Task:
    """The task of a head fixture, sizes read from its arrays."""
    sizes = {key: value.shape for key, value in fixture.arrays.items()}
    neck_out, hidden = sizes["param/neck/0/weight"]
    model: dict[str, Any] = {"features": neck_out}
    if fixture.meta.get("fusion") == "logits":
        model["fusion"] = "logits"
    inner = next(
        (sizes[f"param/{head}/0/bias"][0] for head in ("verb", "classifier") if f"param/{head}/0/bias" in sizes), 1
    )
    model["classifier_hidden"] = inner
    samples: dict[str, Any] = {}
    if name == "lta":
        model["gate_size"] = sizes["param/head/conv/0/gate/0/bias"][0]
        model["radius"] = fixture.meta.get("anticipation_radius", 2.5)
        samples["horizon"] = len(fixture.arrays["in/verb_labels"]) // (int(fixture.arrays["in/video"].max()) + 1)
    if name == "mq":
        model["normalizer"] = fixture.meta.get("normalizer_before", 100.0)
        model["momentum"] = fixture.meta.get("momentum", 0.9)
    labels = {"verbs": 1, "nouns": 1, "moments": 1}
    for label, bias in (("verbs", "verb/out/bias"), ("nouns", "noun/out/bias"), ("moments", "classifier/out/bias")):
        if f"param/{bias}" in sizes:
            labels[label] = sizes[f"param/{bias}"][0]
    kind = load_task(name)
    params = kind.Params.model_validate({"annotations": "", "levels": levels, "samples": samples, "model": model})
    streams = sorted({key.split("/")[1] for key in sizes if key.startswith("aux/")})
    return kind(hidden, params, labels, streams)


@pytest.mark.fixtures("modules/head_*.npz", "modules/fused_*.npz")
def test_head(fixture: Fixture, code_path: str) -> None:
    name = fixture.path.stem.split("_")[1]
    owners = "in/segment_video" if fixture.has("in/segment_video") else None
    batch, levels = batch_of(fixture, targets=TARGETS[name], owners=owners)
    task = make_task(fixture, name, len(batch.pyramid)).eval()
    fixture.load(task)
    task.train(fixture.meta.get("mode") == "train")
    streams = fixture.under("aux/") or None
    outputs = task(levels, batch, streams)
    for key, value in outputs.items():
        if fixture.has(f"out/{key}"):
            fixture.check(key, value)
    terms = task.loss(outputs, batch)
    for index, term in enumerate(terms.values()):
        fixture.check(f"loss_{index}", term)
    total = torch.stack(list(terms.values())).sum()
    fixture.check("loss", total)
    total.backward()
    fixture.check("grad_x", torch.cat([level.grad for level in levels if level.grad is not None]))
    if "normalizer_after" in fixture.meta:
        assert float(task.normalizer) == pytest.approx(fixture.meta["normalizer_after"], rel=1e-5)


@pytest.mark.fixtures("modules/loss_focal*.npz")
def test_focal_loss(fixture: Fixture, code_path: str) -> None:
    fixture.check("loss", sigmoid_focal(fixture.tensor("in/logits"), fixture.tensor("in/target"), **fixture.meta))


@pytest.mark.fixtures("modules/loss_diou*.npz")
def test_diou_loss(fixture: Fixture, code_path: str) -> None:
    fixture.check("loss", diou_1d(fixture.tensor("in/pred"), fixture.tensor("in/target")))


@pytest.mark.fixtures("modules/egopack_*.npz")
def test_interaction(fixture: Fixture, code_path: str) -> None:
    params = interaction_params(fixture.meta)
    tasks = sorted(key.removeprefix("in/") for key in fixture.arrays if key.startswith("in/"))
    assert tasks
    for task in tasks:
        interaction = Interaction(torch.zeros(fixture.arrays[f"param/{task}/prototypes"].shape), params)
        fixture.load(interaction, f"param/{task}/")
        out, matches = interaction.matched(fixture.tensor(f"in/{task}"))
        fixture.check(task, out)
        for number, match in enumerate(matches):
            np.testing.assert_array_equal(match[:, 0].cpu().numpy(), fixture.arrays[f"match/{task}/{number}"])


class _Rows:
    """Feature rows of a fixture's node table, by video number."""

    def __init__(self, x: np.ndarray, video: np.ndarray) -> None:
        self.x, self.video = x, video

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray:
        return self.x[self.video == int(uid)][rows]


@pytest.mark.fixtures("modules/prototypes*.npz")
def test_prototypes(fixture: Fixture, code_path: str) -> None:
    arrays = fixture.arrays
    video, owner = arrays["in/video"], arrays["in/segment_video"]
    samples = []
    for index in range(int(video.max()) + 1):
        own = owner == index
        targets = {
            "verbs": arrays["in/verb_labels"][own],
            "nouns": arrays["in/noun_labels"][own],
        }
        pos = arrays["in/pos"][video == index]
        samples.append(Sample(str(index), str(index), np.arange(len(pos)), pos, targets, arrays["in/segments"][own]))
    names = sorted({key.split("/")[1] for key in arrays if key.startswith("param/") and "/neck/" in key})
    hidden = len(arrays["param/backbone/projection/0/bias"])
    levels = len({key.split("/")[3] for key in arrays if key.startswith("param/backbone/level/")})
    gate_size = len(arrays["param/backbone/level/0/conv/0/gate/0/bias"])
    model = {"features": len(arrays[f"param/{names[0]}/neck/1/bias"]), "classifier_hidden": 4}
    blocks = {
        name: {"params": {"annotations": "", "levels": levels, "samples": {}, "model": model}, "labels": {}}
        for name in names
    }
    for block in blocks.values():
        block["labels"] = {"verbs": 2, "nouns": 2, "moments": 2}
    spec = NetworkSpec.model_validate(
        {
            "input_size": arrays["in/x"].shape[1],
            "levels": levels,
            "backbone": backbone_params(hidden, conv={"gate_size": gate_size}).model_dump(),
            "tasks": blocks,
        }
    )
    network = Network(spec)
    fixture.load(network.backbone, "param/backbone/")
    for name in names:
        fixture.load(network.head(name).neck, f"param/{name}/neck/")
    loader = Loader(samples, _Rows(arrays["in/x"], video), batch_size=2, levels=1, radius_s=2.0)
    built = build_prototypes(
        network, loader, verbs=fixture.meta["verbs"], nouns=fixture.meta["nouns"], device=torch.device(fixture.device)
    )
    for name in names:
        fixture.check(name, built.rows[name])
    fixture.check("verb", built.verb)
    fixture.check("noun", built.noun)


@pytest.mark.fixtures("modules/nms_*.npz")
def test_nms(fixture: Fixture) -> None:
    from egopack.detection.nms import suppress

    settings = {key: value for key, value in fixture.meta.items() if not (key == "sigma" and value is None)}
    found = suppress(
        fixture.tensor("in/segments"), fixture.tensor("in/scores"), fixture.tensor("in/labels"), **settings
    )
    check_detections(fixture, found.segments, found.scores, found.labels)


def check_detections(fixture: Fixture, segments: Tensor, scores: Tensor, labels: Tensor) -> None:
    """Detections equal the fixture's as sorted by score, label and segment: ties may swap."""
    fixture.check("scores", scores)
    order = lexicographic(segments, scores, labels)
    expected = [torch.from_numpy(fixture.arrays[f"out/{name}"]) for name in ("segments", "scores", "labels")]
    other = lexicographic(*expected)
    np.testing.assert_array_equal(labels.cpu()[order].numpy(), expected[2][other].numpy())
    np.testing.assert_allclose(segments.cpu()[order].numpy(), expected[0][other].numpy(), atol=1e-4, rtol=1e-4)


def lexicographic(segments: Tensor, scores: Tensor, labels: Tensor) -> np.ndarray:
    columns = [
        np.round(value.cpu().numpy().astype(np.float64), 3) for value in (segments[:, 0], segments[:, 1], scores)
    ]
    return np.lexsort((columns[2], columns[1], columns[0], labels.cpu().numpy()))


@pytest.mark.fixtures("modules/mq_decode*.npz")
def test_mq_decode(fixture: Fixture) -> None:
    from egopack.tasks.mq import MqDecode, decode_segments

    nms = fixture.meta["nms"]
    params = MqDecode(
        min_probability=fixture.meta["pre_nms_threshold"],
        top_per_level=fixture.meta["pre_nms_top_k_per_level"],
        min_duration_s=fixture.meta["min_duration_s"],
        nms=nms["method"],
        sigma=nms["sigma"] or 2.0,
        iou_threshold=nms["iou_threshold"],
        min_score=nms["min_score"],
        max_segments=nms["max_segments"],
        per_class=nms["per_class"],
    )
    extent = fixture.arrays["in/extent"]
    probability, offsets, pos = (
        torch.sigmoid(fixture.tensor("in/class_logits")),
        fixture.tensor("in/offsets"),
        fixture.tensor("in/pos"),
    )
    nodes = [(probability[extent == e], offsets[extent == e], pos[extent == e], float(e)) for e in np.unique(extent)]
    check_detections(fixture, *decode_segments(nodes, float(fixture.arrays["in/duration_s"]), params))


@pytest.mark.fixtures("modules/detection_*.npz")
def test_detection_metrics(fixture: Fixture) -> None:
    from egopack.detection.average_precision import (
        GroundTruth,
        Predictions,
        average_precision,
        recall_class_mean,
        recall_pooled,
    )

    arrays, meta = fixture.arrays, fixture.meta
    truth = GroundTruth(arrays["in/gt_video"], arrays["in/gt_segments"], arrays["in/gt_labels"])
    predictions = Predictions(arrays["in/video"], arrays["in/segments"], arrays["in/labels"], arrays["in/scores"])
    found = average_precision(truth, predictions, meta["tiou"])
    fixture.check("map", found.per_tiou)
    fixture.check("average_map", found.average)
    if fixture.has("out/ap"):
        np.testing.assert_array_equal(found.classes, arrays["out/ap_class"])
        fixture.check("ap", found.values)
        fixture.check("recall", recall_pooled(truth, predictions, meta["recall_tiou"], meta["recall_at"]))
    else:
        fixture.check("recall", recall_class_mean(truth, predictions, meta["tiou"], meta["recall_at"]))


@pytest.mark.fixtures("modules/edit_distance*.npz")
def test_edit_distance(fixture: Fixture) -> None:
    from egopack.tasks.lta import area_under_edit_distance, best_edit_distance, edit_distance_at

    predictions, labels = fixture.arrays["in/predictions"], fixture.arrays["in/labels"]
    if fixture.has("out/distance"):
        fixture.check("distance", best_edit_distance(predictions, labels, [labels.shape[1]])[:, 0])
    if fixture.has("out/distance_at"):
        at_horizon = edit_distance_at(predictions, labels)
        fixture.check("distance_at", at_horizon)
        fixture.check("aued", area_under_edit_distance(at_horizon))


@pytest.mark.fixtures("modules/keyframe*.npz")
def test_keyframe(fixture: Fixture) -> None:
    from egopack.tasks.pnr import PointOfNoReturn, frame_table

    arrays = fixture.arrays
    fps = fixture.meta["fps"]
    samples = []
    for index, (start, end, pnr) in enumerate(
        zip(arrays["in/start_frame"], arrays["in/end_frame"], arrays["in/pnr_frame"], strict=True)
    ):
        metadata = {"window": np.array([start, end]), "pnr": np.array([pnr]), "fps": np.array([float(fps)])}
        samples.append(Sample(str(index), "", np.zeros(0, np.int64), np.zeros(0, np.float32), {}, metadata=metadata))
    table = frame_table(samples, arrays["in/logits"])
    fixture.check("official", np.abs(table["frame"] - (arrays["in/pnr_frame"] - arrays["in/start_frame"])) / fps)
    fixture.check("published", np.abs(table["candidate"] - arrays["in/pnr_frame"]) / fps)
    scores = PointOfNoReturn.score(table, samples, {})
    assert scores["error_s"] == pytest.approx(arrays["out/official"].mean())
    assert scores["error_published_s"] == pytest.approx(arrays["out/published"].mean())
