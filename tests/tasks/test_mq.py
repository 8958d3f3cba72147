from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from egopack.data.batch import Batch
from egopack.data.samples import Sample
from egopack.detection.level_nodes import segments_of_nodes
from egopack.ego4d.sources.moments import Moment, MomentsClip
from egopack.nn.losses import diou_1d, sigmoid_focal
from egopack.nn.targets import NodeTargets, assign_targets
from egopack.tasks.mq import MomentQueries, MqDecode, decode_segments
from tests.support import small

LEVELS = 3


def clip(name: str, start: int, end: int, moments: tuple[Moment, ...] = (), **changes: Any) -> MomentsClip:
    values = {"video_uid": "v", "start_s": start / 30, "end_s": end / 30, "annotated": True} | changes
    return MomentsClip(clip_uid=name, start=start, end=end, moments=moments, **values)


def awaken(task: Any) -> None:
    """Draw the head anew so that offsets are positive at most nodes."""
    small.randomize(task)
    with torch.no_grad():
        task.regressor["out"].bias.fill_(1.5)
        task.scales.copy_(torch.tensor([0.5, 1.0, 1.5]))


def batch_of(samples: list[Sample]) -> Any:
    return small.batch_of(samples, levels=LEVELS)


def no_segments(count: int = 2) -> list[Sample]:
    samples = small.samples_of("mq", count)
    for sample in samples:
        sample.targets.update(segments=np.zeros((0, 2), np.float32), classes=np.zeros(0, np.int64))
    return samples


def test_primary_segments_without_exact_duplicates_in_file_order() -> None:
    moments = (
        Moment("wash", 200, 260, True),
        Moment("cut", 90, 120, True),
        Moment("wash", 200, 260, True),
        Moment("dry", 200, 260, True),
        Moment("peel", 130, 160, False),
        Moment("fly", 130, 160, True),
    )
    clips = [clip("a", 100, 500, moments), clip("b", -40, 50), clip("c", 9000, 9100), clip("d", 0, 90, video_uid="w")]
    source = small.source_of(small.FakeAnnotations(moments=clips), v=100)
    first, second = MomentQueries.samples(source, "train", small.task_params("mq"))
    assert first.rows.tolist() == list(range(100 // 16, 500 // 16))
    assert first.targets["classes"].tolist() == [2, 0, 3]
    expected = [[(f - 100 + 4) / 30 for f in pair] for pair in ((200, 260), (90, 120), (200, 260))]
    np.testing.assert_allclose(first.targets["segments"], expected, rtol=1e-5)
    assert first.metadata["duration"].tolist() == [pytest.approx(404 / 30)]
    assert first.metadata["offset"].tolist() == [pytest.approx(4 / 30)]
    assert (second.rows.tolist(), second.targets["segments"].shape) == ([0, 1, 2], (0, 2))
    assert {reason: entry["examples"] for reason, entry in source.skips.to_dict().items()} == {
        "clip outside of the video's features": ["c"],
        "unknown moment class": ["a: fly"],
        "video without features": ["d"],
    }


@pytest.mark.parametrize("training", [True, False])
def test_no_positive_means_no_regression_loss(training: bool) -> None:
    network = small.randomize(small.network_of("mq")).train(training)
    task, batch = network.head("mq"), batch_of(no_segments())
    terms = task.loss(network("mq", batch), batch)
    assert float(terms["regression"].detach()) == 0.0
    assert float(terms["classification"].detach()) > 0
    torch.stack(list(terms.values())).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def positives(batch: Any) -> int:
    return max(int(targets_of(batch).positive.sum()), 1)


def targets_of(batch: Batch) -> NodeTargets:
    segments, classes = batch.targets["segments"], batch.targets["classes"]
    return assign_targets(batch.pyramid, batch.nodes(), segments, classes, batch.places("classes"), 4)


def test_the_running_normalizer() -> None:
    task = small.task_of("mq", normalizer=50.0, momentum=0.8)
    batches = [batch_of(small.samples_of("mq", 3, seed)) for seed in range(3)] + [batch_of(no_segments())]
    expected = 50.0
    for batch in batches:
        outputs = task([torch.randn(len(level.pos), small.HIDDEN) for level in batch.pyramid], batch)
        outputs = {name: value.detach() for name, value in outputs.items()}
        terms = task.train().loss(outputs, batch)
        expected = 0.8 * expected + 0.2 * positives(batch)
        assert float(task.state_dict()["normalizer"]) == pytest.approx(expected, rel=1e-5)
        unchanged = task.eval().loss(outputs, batch)
        assert float(task.state_dict()["normalizer"]) == pytest.approx(expected, rel=1e-5)
        for name, term in terms.items():
            assert float(term) * expected == pytest.approx(
                float(unchanged[name]) * positives(batch), rel=1e-4, abs=1e-6
            )


def test_losses_are_sums_over_nodes_and_classes() -> None:
    task, batch = small.task_of("mq").eval(), batch_of(small.samples_of("mq", 3))
    outputs = task([torch.randn(len(level.pos), small.HIDDEN) for level in batch.pyramid], batch)
    target = targets_of(batch)
    count = int(target.positive.sum())
    assert count > 3
    terms = task.loss(outputs, batch)
    regression = sum(
        diou_1d(outputs["offsets"][i : i + 1], target.offsets[i : i + 1]) for i in torch.nonzero(target.positive)[:, 0]
    )
    torch.testing.assert_close(terms["regression"], regression.squeeze() / count)
    torch.testing.assert_close(
        terms["classification"], sigmoid_focal(outputs["class_logits"], target.classes).sum() / count
    )


@pytest.mark.parametrize("streams", [(), ("x", "y")])
def test_forward_by_hand(streams: tuple[str, ...]) -> None:
    task, batch = small.task_of("mq", streams=streams).eval(), batch_of(small.samples_of("mq", 3))
    awaken(task)
    levels = [torch.randn(len(level.pos), small.HIDDEN) for level in batch.pyramid]
    nodes = torch.cat(levels)
    others = {name: torch.randn_like(nodes) for name in streams}
    outputs = task(levels, batch, others or None)
    features = torch.stack([task.neck(value) for value in (nodes, *others.values())]).mean(0)
    video = torch.cat([level.video for level in batch.pyramid])
    context = torch.stack([features[video == owner].mean(0) for owner in video])
    torch.testing.assert_close(outputs["class_logits"], task.classifier(torch.cat([features, context], 1)))
    scale = torch.cat([task.scales[i].expand(len(level.pos)) for i, level in enumerate(batch.pyramid)])
    raw = task.regressor["out"](task.regressor["0"](features))
    torch.testing.assert_close(outputs["offsets"], raw.relu() * scale[:, None])
    assert (outputs["offsets"] != 0).any()


def test_fusion_of_features_and_softplus_by_hand() -> None:
    """Streams are added past MQ's neck, as in the other tasks; softplus stands where the ReLU was."""
    task = small.task_of("mq", streams=("x", "y"), fusion="features", offsets="softplus").eval()
    batch = batch_of(small.samples_of("mq", 3))
    awaken(task)
    levels = [torch.randn(len(level.pos), small.HIDDEN) for level in batch.pyramid]
    nodes = torch.cat(levels)
    others = {name: torch.randn_like(nodes) for name in ("x", "y")}
    outputs = task(levels, batch, others)
    features = task.neck(nodes) + (others["x"] + others["y"]) / 2
    scale = torch.cat([task.scales[i].expand(len(level.pos)) for i, level in enumerate(batch.pyramid)])
    raw = task.regressor["out"](task.regressor["0"](features))
    torch.testing.assert_close(outputs["offsets"], (1 + raw.exp()).log() * scale[:, None])
    alone = task(levels, batch, None)
    raw = task.regressor["out"](task.regressor["0"](task.neck(nodes)))
    torch.testing.assert_close(alone["offsets"], (1 + raw.exp()).log() * scale[:, None])


@pytest.mark.parametrize(
    ("offsets", "bias", "dead"), [("relu", -50.0, True), ("relu", 1.5, False), ("softplus", -50.0, False)]
)
def test_a_head_without_gradient_says_so(offsets: str, bias: float, dead: bool) -> None:
    task, batch = small.task_of("mq", offsets=offsets).train(), batch_of(small.samples_of("mq", 3))
    assert task.trouble() == ""
    awaken(task)
    with torch.no_grad():
        task.regressor["out"].bias.fill_(bias)
    outputs = task([torch.randn(len(level.pos), small.HIDDEN) for level in batch.pyramid], batch)
    task.loss(outputs, batch)["regression"].backward()
    assert bool((task.regressor["out"].weight.grad == 0).all()) == dead
    assert ("offsets are 0 at 100.0% of the nodes" in task.trouble()) == dead


def test_initial_values() -> None:
    task = small.task_of("mq")
    assert task.scales.tolist() == [1.0] * LEVELS
    torch.testing.assert_close(torch.sigmoid(task.classifier["out"].bias), torch.full((4,), 0.01))
    assert float(task.normalizer) == 100.0


def nodes_of(probability: list[list[float]], offsets: list[list[float]], pos: list[float], extent: float = 1.0) -> Any:
    return torch.tensor(probability), torch.tensor(offsets), torch.tensor(pos), extent


def test_decoding_by_hand() -> None:
    levels = [
        nodes_of([[0.9, 0.0005], [0.3, 0.8]], [[1.0, 1.0], [0.01, 0.02]], [5.0, 9.0]),
        nodes_of([[0.5, 0.2]], [[4.0, 1.0]], [6.0], extent=2.0),
    ]
    segments, scores, labels = decode_segments(levels, 7.5, MqDecode(sigma=1e6))
    found = sorted(
        (label, round(s, 4), round(e, 4)) for label, (s, e) in zip(labels.tolist(), segments.tolist(), strict=True)
    )
    assert found == [(0, 0.0, 7.5), (0, 4.0, 6.0), (1, 0.0, 7.5)]  # those of 0.03 s and below 0.001 are gone
    assert scores.tolist() == pytest.approx([0.9, 0.5, 0.2], abs=1e-4)
    assert len(decode_segments(levels, 7.5, MqDecode(max_segments=2))[0]) == 2
    assert decode_segments(levels, 7.5, MqDecode(top_per_level=1, sigma=1e6))[1].tolist() == pytest.approx(
        [0.9, 0.5], abs=1e-4
    )
    assert len(decode_segments(levels, 7.5, MqDecode(min_probability=0.95))[0]) == 0


def decoded(samples: list[Sample], **settings: Any) -> pd.DataFrame:
    network = small.network_of("mq").eval()
    awaken(network.head("mq"))
    batch = batch_of(samples)
    with torch.no_grad():
        outputs = network("mq", batch)
    return network.head("mq").decode(outputs, batch, samples, MqDecode(**settings), np.random.default_rng(0))


def test_decoding_a_batch_equals_decoding_each_video() -> None:
    samples = small.samples_of("mq", 3)
    together = decoded(samples)
    assert set(together["key"]) == {sample.key for sample in samples}
    for sample in samples:
        mine = together[together["key"] == sample.key].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, decoded([sample]), atol=1e-3, rtol=1e-3)
        assert mine["start"].min() >= 0
        assert mine["end"].max() <= sample.metadata["duration"][0] + 1e-4
        assert mine["score"].is_monotonic_decreasing


def test_nothing_found_is_an_empty_table_that_can_be_scored() -> None:
    samples = small.samples_of("mq", 2)
    table = decoded(samples, min_probability=0.9999)
    assert len(table) == 0
    scores = MomentQueries.score(table, samples, small.LABELS["mq"])
    assert set(scores.values()) == {0.0}
    assert MomentQueries.submission(table, samples, small.LABELS["mq"])["detect_results"] == {"clip0": [], "clip1": []}


def test_the_truth_scores_a_hundred() -> None:
    samples = small.samples_of("mq", 4)
    tables = [
        pd.DataFrame({"key": sample.key, "label": sample.targets["classes"], "score": 0.9}).assign(
            start=sample.targets["segments"][:, 0], end=sample.targets["segments"][:, 1]
        )
        for sample in samples
    ]
    scores = MomentQueries.score(pd.concat(tables, ignore_index=True), samples, small.LABELS["mq"])
    for name in ("map", "map_at_0.1", "map_at_0.5", "recall_5x_at_0.7"):
        assert scores[name] == pytest.approx(100.0)


def test_submission_counts_from_the_start_of_the_clip() -> None:
    (sample,) = small.samples_of("mq", 1)
    sample.metadata["offset"] = np.array([0.5])
    rows = {"label": [1, 0, 2], "score": [0.4, 0.9, 0.8], "start": [1.5, 0.2, 0.1], "end": [2.0, 1.0, 0.4]}
    table = pd.DataFrame({"key": sample.key} | rows)
    submitted = json.loads(json.dumps(MomentQueries.submission(table, [sample], small.LABELS["mq"])))
    assert submitted["detect_results"][sample.key] == [  # what ends before the clip starts is none of its moments
        {"label": "cut", "score": 0.9, "segment": [0.0, 0.5]},
        {"label": "peel", "score": 0.4, "segment": [1.0, 1.5]},
    ]


def test_predictions_of_a_network_are_a_submission() -> None:
    samples = small.samples_of("mq", 3)
    for sample in samples:
        sample.metadata["offset"] = np.array([0.4])
    submitted = MomentQueries.submission(decoded(samples), samples, small.LABELS["mq"])
    assert all(submitted["detect_results"][sample.key] for sample in samples)


def test_chance_knows_frequencies_and_lengths() -> None:
    samples = small.samples_of("mq", 3)
    for sample in samples:
        sample.targets["classes"][:] = 2
    table = MomentQueries.chance(samples, samples, small.LABELS["mq"], np.random.default_rng(0))
    assert set(table["label"]) == {2}
    assert (table["start"] <= table["end"]).all()
    longest = max(float(np.diff(sample.targets["segments"]).max()) for sample in samples)
    assert (table["end"] - table["start"]).max() <= longest + 1e-6


def test_chance_knows_nothing_of_what_is_scored() -> None:
    train, scored = small.samples_of("mq", 3), small.samples_of("mq", 4, seed=5)
    for sample in train:
        sample.targets["classes"][:] = 2
        sample.targets["segments"] = np.array([[1.0, 1.25]] * len(sample.targets["classes"]), np.float32)
    for sample in scored:
        sample.targets["classes"][:] = 1
    table = MomentQueries.chance(train, scored, small.LABELS["mq"], np.random.default_rng(0))
    assert set(table["label"]) == {2}
    assert set(table["key"]) == {sample.key for sample in scored}
    assert (table["end"] - table["start"]).max() <= 0.25 + 1e-6


def test_streams_need_the_width_of_the_backbone() -> None:
    with pytest.raises(Exception, match=r"tasks\.mq\.model\.features 6: must be the backbone's width 8"):
        small.task_of("mq", streams=("x",), features=6)


def test_defaults_of_decoding_are_those_of_the_paper() -> None:
    found = MqDecode()
    assert (found.min_probability, found.top_per_level, found.min_duration_s) == (0.001, 5000, 0.05)
    assert (found.nms, found.sigma, found.iou_threshold, found.min_score) == ("gaussian", 2.0, 0.1, 0.001)
    assert (found.max_segments, found.per_class, found.voting_threshold) == (2000, True, None)


def test_a_probability_at_the_threshold_makes_no_segment() -> None:
    probability = torch.tensor([[0.25, 0.5], [0.125, 0.75]])
    level = (probability, torch.ones(2, 2), torch.tensor([1.0, 2.0]), 1.0)
    found = segments_of_nodes([level], 0.25, 100, 0.0)
    assert sorted(found[1].tolist()) == [0.5, 0.75]
