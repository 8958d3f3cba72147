from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

from egopack.data.samples import Sample
from egopack.tasks.ar import ActionRecognition, accuracies, ranked_table, top_classes
from tests.support import small
from tests.support.small import action


def sample_with(verbs: list[int], nouns: list[int], key: str = "c") -> Sample:
    segments = np.zeros((len(verbs), 2), np.float32)
    targets = {"verbs": np.array(verbs), "nouns": np.array(nouns)}
    return Sample(key, "v", np.arange(3), small.GRID.positions(3), targets, segments)


@pytest.mark.parametrize("classes", [3, 5, 40])
def test_accuracies_equal_those_of_torchmetrics(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(200, classes, generator=generator)
    truth = torch.randint(0, classes, (200,), generator=generator)
    ranked, probability = top_classes(logits)
    found = accuracies(ranked, truth.numpy())
    for name, top, average in (("top1", 1, "micro"), ("top5", min(5, classes), "micro"), ("class_mean", 1, "macro")):
        metric = MulticlassAccuracy(num_classes=classes, top_k=top, average=average)
        assert found[name] == pytest.approx(100 * float(metric(logits, truth)), abs=1e-3), name
    expected = (logits.double().exp() / logits.double().exp().sum(1, keepdim=True)).numpy()
    np.testing.assert_allclose(probability, np.take_along_axis(expected, ranked, 1), rtol=1e-5)


def test_segments_without_a_label_take_no_part() -> None:
    ranked = np.array([[0, 1], [1, 0], [0, 1], [1, 0]])
    found = accuracies(ranked, np.array([0, -1, 1, -1]))
    assert found == {"top1": 50.0, "top5": 100.0, "class_mean": 50.0}


def test_one_sample_a_clip_in_order_of_start() -> None:
    actions = [
        action(0, 300, 400, verb=1),
        action(1, 120, 200, verb=2, noun=3),
        action(2, 120, 900, verb=-1, noun=None),
    ]
    actions += [
        action(0, 20, 40, clip_uid="d", clip_start=0, clip_end=50),
        action(0, 1, 2, clip_uid="e", video_uid="absent"),
    ]
    actions += [action(0, 1, 2, clip_uid="f", clip_start=5000, clip_end=6000)]
    source = small.source_of(small.FakeAnnotations(actions=actions), v=60)
    first, second = ActionRecognition.samples(source, "train", small.task_params("ar"))
    assert (first.key, first.video_uid, second.key) == ("c", "v", "d")
    assert first.rows.tolist() == list(range(100 // 16, 60))  # the video ends before the clip
    assert first.targets["verbs"].tolist() == [2, -1, 1]
    assert first.targets["nouns"].tolist() == [3, -1, 0]
    expected = [[(f - 100 + 100 % 16) / 30 for f in pair] for pair in ((120, 200), (120, 900), (300, 400))]
    np.testing.assert_allclose(first.segments, expected, rtol=1e-6)
    np.testing.assert_allclose(first.pos, (0.5 + np.arange(len(first))) * 16 / 30, rtol=1e-6)
    assert source.skips.to_dict() == {
        "clip outside of the video's features": {"count": 1, "examples": ["f"]},
        "video without features": {"count": 1, "examples": ["e"]},
    }


def test_predictions_are_the_best_classes_of_every_segment() -> None:
    network = small.randomize(small.network_of("ar")).eval()
    samples = small.samples_of("ar")
    batch = small.batch_of(samples)
    task, outputs = network.head("ar"), network("ar", batch)
    table = task.decode(outputs, batch, samples, task.Decode(), np.random.default_rng(0))
    assert table["key"].tolist() == [sample.key for sample in samples for _ in sample.targets["verbs"]]
    assert table["segment"].tolist() == [i for sample in samples for i in range(len(sample.targets["verbs"]))]
    for part, classes in (("verb", 5), ("noun", 5)):
        order = np.argsort(-outputs[f"{part}_logits"].detach().numpy(), axis=1)[:, :classes]
        assert np.stack(table[part].to_list()).tolist() == order.tolist()
    scores = task.score(table, samples, small.LABELS["ar"])
    truth = np.concatenate([sample.targets["verbs"] for sample in samples])
    top1 = outputs["verb_logits"].argmax(1).numpy() == truth
    assert scores["verb_top1"] == pytest.approx(100 * top1.mean())
    assert set(scores) == {f"{part}_{name}" for part in ("verb", "noun") for name in ("top1", "top5", "class_mean")}


def test_a_segment_between_two_nodes_is_no_nan() -> None:
    network = small.randomize(small.network_of("ar")).train()
    sample = small.samples_of("ar", 1)[0]
    assert sample.segments is not None
    sample.segments[0] = [0.3, 0.31]
    batch = small.batch_of([sample])
    task, outputs = network.head("ar"), network("ar", batch)
    assert not outputs["features"][0].any()
    loss = torch.stack(list(task.loss(outputs, batch).values())).sum()
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_an_ignored_label_counts_in_the_mean() -> None:
    task = small.task_of("ar")
    batch = small.batch_of([sample_with([1, -1], [2, 3])])
    outputs = {"verb_logits": torch.randn(2, 5), "noun_logits": torch.randn(2, 6)}
    terms = task.loss(outputs, batch)
    log = torch.log_softmax(outputs["verb_logits"], 1), torch.log_softmax(outputs["noun_logits"], 1)
    assert float(terms["verb"]) == pytest.approx(-float(log[0][0, 1]) / 2, rel=1e-5)
    assert float(terms["noun"]) == pytest.approx(-float(log[1][0, 2] + log[1][1, 3]) / 2, rel=1e-5)


def test_chance_names_the_most_frequent_classes() -> None:
    train = [sample_with([4, 4, 4, 2, 2, -1, -1, -1, -1], [0, 1, 1, 1, 5, 5, 2, -1, -1])]
    samples = [sample_with([4, 0], [1, 2]), sample_with([2], [1], "d")]
    table = ActionRecognition.chance(train, samples, small.LABELS["ar"], np.random.default_rng(0))
    assert [list(row[:2]) for row in table["verb"]] == [[4, 2]] * 3
    assert [list(row[:2]) for row in table["noun"]] == [[1, 5]] * 3
    np.testing.assert_allclose(table["verb_score"][0][:2], [3 / 5, 2 / 5], rtol=1e-6)
    assert ActionRecognition.score(table, samples, small.LABELS["ar"])["verb_top1"] == pytest.approx(100 / 3)


def test_there_is_no_challenge() -> None:
    best = np.array([[1]]), np.array([[0.5]])
    table = ranked_table([sample_with([1], [1])], best, best)
    assert ActionRecognition.submission(table, [], {}) is None
