"""NMS, decoding and detection metrics, over readable oracles and over themselves at smaller sizes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egopack.data.batch import Batch
from egopack.detection.average_precision import (
    GroundTruth,
    Predictions,
    average_precision,
    recall_class_mean,
    recall_pooled,
)
from egopack.detection.nms import Detections, suppress
from egopack.tasks.mq import RECALL_AT, RECALL_TIOU, TIOU, MqDecode
from tests.benchmarks.measure import Work
from tests.benchmarks.workloads import QUICK, Size, batch_of, network_of, sample_of, size_of
from tests.support import detection_oracles as oracles

CLASSES = 110
NMS_SEGMENTS, KEPT = 40_000, 2000
Candidates = tuple[Tensor, Tensor, Tensor]


def make(case: str, quick: bool) -> Work:
    if case == "detection_map":
        return detection_map(quick)
    if case == "nms_clips":
        return nms_clips(quick)
    if case == "nms":
        return nms_oracle(400 if quick else NMS_SEGMENTS)
    return nms_growth(int(case.removeprefix("nms_").removesuffix("k")) * (10 if quick else 1000), quick)


def candidates(count: int, seed: int = 0) -> Candidates:
    """Segments in a clip of eight minutes, as a detector yields them."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(count, generator=generator) * 470
    length = 0.1 - 8 * torch.log(1 - torch.rand(count, generator=generator))
    scores = torch.rand(count, generator=generator) ** 4
    return torch.stack([start, start + length], 1), scores, torch.randint(CLASSES, (count,), generator=generator)


def nms_oracle(count: int) -> Work:
    """Per segment against the readable version in torch, which takes a tenth of them and keeps the same."""
    given, part = candidates(count), candidates(count // 10)
    found: dict[str, Any] = {}

    def oracle() -> None:
        found["oracle"] = oracles.suppress(*part, max_segments=KEPT)

    def check() -> None:
        rows, scores = found["oracle"]
        ours = suppress(*part)
        assert torch.equal(ours.segments, part[0][rows]), "NMS keeps other segments than the oracle"
        torch.testing.assert_close(ours.scores, torch.tensor(scores), rtol=1e-5, atol=1e-7)

    return Work(
        lambda: suppress(*given, max_segments=KEPT),
        oracle,
        f"readable NMS in torch on {count // 10:,} segments, per segment",
        units=(count, count // 10),
        check=check,
        slow_other=True,
        extra=lambda: {"goal_seconds": 0.06},
    )


def expected_cost(count: int) -> float:
    """N log N + kept^2 / classes; at most KEPT are kept."""
    return count * math.log2(count) + min(count, KEPT) ** 2 / CLASSES


def nms_growth(count: int, quick: bool) -> Work:
    """A larger input over 40,000 segments: at most 1 where cost grows no faster than N log N + kept^2 / classes."""
    base = 400 if quick else NMS_SEGMENTS
    large, small = candidates(count), candidates(base)
    return Work(
        lambda: suppress(*large),
        lambda: suppress(*small),
        f"{base:,} segments, by N log N + kept^2 / classes",
        goal=1.0,
        units=(expected_cost(count), expected_cost(base)),
    )


def nms_clips(quick: bool) -> Work:
    """Decoding and NMS of 500 clips with 20,000 candidates each, over their NMS alone."""
    size: Size = size_of(quick)
    batch = batch_of("mq", size)
    clips, videos = (8 if quick else 500), len(batch)
    task = network_of(("mq",), QUICK if quick else small_heads(size)).head("mq").eval()
    settings = MqDecode(top_per_level=20_000 // size.levels)
    outputs, samples = detections(batch, size), mq_samples(size)
    generator = np.random.default_rng(0)
    found: dict[str, Any] = {}

    def ours() -> None:
        for _ in range(clips // videos):
            found["table"] = task.decode(outputs, batch, samples, settings, generator)

    per_clip = candidates(20_000 if not quick else 100)

    def alone() -> list[Detections]:
        return [suppress(*per_clip) for _ in range(clips)]

    def check() -> None:
        assert len(found["table"]), "nothing was detected"

    return Work(ours, alone, "the NMS of 20,000 segments a clip alone", check=check, extra=lambda: {"clips": clips})


def small_heads(size: Size) -> Size:
    """The same classes with narrow features: decoding does not look at them."""
    return Size(**{**vars(size), "hidden": 16, "classifier": 16})


def mq_samples(size: Size) -> list[Any]:
    generator = np.random.default_rng(0)
    return [sample_of("mq", size, generator, str(index)) for index in range(size.samples["mq"])]


def detections(batch: Batch, size: Size) -> dict[str, Tensor]:
    """Outputs of MQ's head with many probabilities above the threshold."""
    nodes = sum(len(level.pos) for level in batch.pyramid)
    logits = torch.randn(nodes, size.labels["mq"]["moments"]) * 1.5 - 5
    return {"class_logits": logits, "offsets": torch.rand(nodes, 2) * 4}


def detected(clips: int, each: int, truths: int, classes: int) -> tuple[GroundTruth, Predictions]:
    """Random ground truths, and predictions of which a part are near one."""
    generator = np.random.default_rng(0)

    def segments(count: int) -> np.ndarray:
        start = generator.uniform(0, 400, count)
        return np.stack([start, start + generator.exponential(15, count) + 0.1], axis=1)

    truth = GroundTruth(generator.integers(0, clips, truths), segments(truths), generator.integers(0, classes, truths))
    count = clips * each
    rows, near = generator.integers(0, truths, count), generator.random(count) < 0.2
    boxes = np.where(near[:, None], truth.segments[rows] + generator.normal(0, 1, (count, 2)), segments(count))
    return truth, Predictions(
        np.where(near, truth.video[rows], np.repeat(np.arange(clips), each)),
        np.sort(boxes, axis=1),
        np.where(near, truth.labels[rows], generator.integers(0, classes, count)),
        generator.random(count),
    )


def scores_of(truth: GroundTruth, predictions: Predictions) -> list[np.ndarray]:
    """All that MQ's metrics need."""
    return [
        average_precision(truth, predictions, TIOU).values,
        recall_pooled(truth, predictions, RECALL_TIOU, RECALL_AT),
        recall_class_mean(truth, predictions, TIOU, RECALL_AT),
    ]


def oracle_scores(truth: GroundTruth, predictions: Predictions) -> list[np.ndarray]:
    return [
        oracles.average_precision(truth, predictions, TIOU),
        oracles.recall(truth, predictions, RECALL_TIOU, RECALL_AT, pooled=True),
        oracles.recall(truth, predictions, TIOU, RECALL_AT, pooled=False),
    ]


def detection_map(quick: bool) -> Work:
    """mAP and recalls at the size of the validation split; the brute-force oracle judges a small part of that size."""
    clips, each, truths = (3, 20, 10) if quick else (521, 2000, 4300)
    few = (3, 20, 10) if quick else (6, 200, 50)
    truth, predictions = detected(clips, each, truths, CLASSES)
    part = detected(*few, 8)
    found: dict[str, list[np.ndarray]] = {}

    def oracle() -> None:
        found["oracle"] = oracle_scores(*part)

    def check() -> None:
        for ours, theirs in zip(scores_of(*part), found["oracle"], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)

    return Work(
        lambda: scores_of(truth, predictions),
        oracle,
        "brute force on a small part, per prediction",
        units=(clips * each, few[0] * few[1]),
        check=check,
        slow_other=True,
        extra=lambda: {"goal_seconds": 2.0, "goal_mb": 500},
    )
