from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from egopack.ego4d.sources.fho_oscc_pnr import Window
from egopack.tasks.oscc import ObjectStateChange, window_table
from tests.support import small


def window(name: str, start: int, end: int, change: bool | None = True, **others: Any) -> Window:
    values = {"video_uid": "v", "clip_id": "c", "pnr": None} | others
    return Window(unique_id=name, start=start, end=end, state_change=change, **values)


def samples_of(windows: list[Window], split: str = "train") -> Any:
    source = small.source_of(small.FakeAnnotations(windows=windows), v=60)
    return ObjectStateChange.samples(source, split, small.task_params("oscc")), source.skips.to_dict()


def test_windows_of_a_clip_are_one_sample() -> None:
    windows = [window("b", 200, 440, False), window("a", 100, 340), window("é-long", 100, 900, clip_id="d")]
    (first, second), skips = samples_of(windows)
    assert (first.key, second.key) == ("c", "d")
    assert first.rows.tolist() == list(range(100 // 16, 440 // 16))
    assert first.targets["changes"].tolist() == [1, 0]
    expected = [[(f - 100 + 4) / 30 for f in pair] for pair in ((100, 340), (200, 440))]
    np.testing.assert_allclose(first.segments, expected, rtol=1e-6)
    assert window_table([first, second], np.zeros(3))["unique_id"].tolist() == ["a", "b", "é-long"]
    assert not skips


def test_what_is_left_out_is_counted() -> None:
    windows = [
        window("a", 100, 340, None),
        window("b", 100, 340, None, clip_id="d"),
        window("c", 110, 340, clip_id="d"),
    ]
    windows += [window("e", 0, 10, clip_id="e", video_uid="absent"), window("f", 5000, 5240, clip_id="f")]
    samples, skips = samples_of(windows, "val")
    assert [sample.key for sample in samples] == ["d"]
    assert samples[0].targets["changes"].tolist() == [1]
    assert {reason: entry["count"] for reason, entry in skips.items()} == {
        "state change unknown": 2,
        "video without features": 1,
        "windows outside of the video's features": 1,
    }
    test, _ = samples_of(windows, "test_unannotated")
    assert [sample.targets["changes"].tolist() for sample in test] == [[-1], [-1, 1], [1], [1]]
    assert test[2].rows.tolist() == []  # of a video without features
    assert test[3].rows.tolist() == [59]  # no row of its own: the nearest


def test_predictions_scores_and_submission() -> None:
    samples = small.samples_of("oscc")
    batch = small.batch_of(samples)
    network = small.randomize(small.network_of("oscc")).eval()
    task, outputs = network.head("oscc"), network("oscc", batch)
    outputs = {key: value.detach() for key, value in outputs.items()}
    table = task.decode(outputs, batch, samples, None, np.random.default_rng(0))
    logits = outputs["logits"].double()
    np.testing.assert_allclose(table["probability"], (logits[:, 1].exp() / logits.exp().sum(1)).numpy(), rtol=1e-5)
    truth = np.concatenate([sample.targets["changes"] for sample in samples])
    accuracy = 100 * (logits.argmax(1).numpy() == truth).mean()
    assert task.score(table, samples, {}) == {"accuracy": pytest.approx(accuracy)}
    submitted = json.loads(json.dumps(task.submission(table, samples, small.LABELS["oscc"])))
    assert [entry["unique_id"] for entry in submitted] == table["unique_id"].tolist()
    assert [entry["state_change"] for entry in submitted] == (table["probability"] > 0.5).tolist()


def test_unlabelled_windows_are_not_scored() -> None:
    samples = [next(one for one in small.samples_of("oscc", 9) if len(one.targets["changes"]) > 1)]
    count = len(samples[0].targets["changes"])
    samples[0].targets["changes"] = np.array([1] + [-1] * (count - 1))
    table = window_table(samples, np.array([0.9] + [0.2] * (count - 1)))
    assert ObjectStateChange.score(table, samples, {}) == {"accuracy": 100.0}


def test_chance_is_the_share_of_changes() -> None:
    samples = small.samples_of("oscc")
    changes = np.concatenate([sample.targets["changes"] for sample in samples])
    table = ObjectStateChange.chance(samples, samples, {}, np.random.default_rng(0))
    np.testing.assert_allclose(table["probability"], changes.mean())
    majority = 100 * max(changes.mean(), 1 - changes.mean())
    assert ObjectStateChange.score(table, samples, {})["accuracy"] == pytest.approx(majority)


def test_loss_by_hand() -> None:
    batch = small.batch_of(small.samples_of("oscc"))
    logits = torch.randn(len(batch.targets["changes"]), 2)
    expected = -torch.log_softmax(logits, 1)[torch.arange(len(logits)), batch.targets["changes"]].mean()
    torch.testing.assert_close(small.task_of("oscc").loss({"logits": logits}, batch)["change"], expected)


def test_chance_knows_nothing_of_what_is_scored() -> None:
    train, scored = small.samples_of("oscc", 3), small.samples_of("oscc", 4, seed=5)
    for sample in train:
        sample.targets["changes"][:] = 1
    for sample in scored:
        sample.targets["changes"][:] = 0
    table = ObjectStateChange.chance(train, scored, {}, np.random.default_rng(0))
    assert set(table["probability"]) == {1.0}
    assert ObjectStateChange.score(table, scored, {}) == {"accuracy": 0.0}


def test_a_window_inside_of_another_does_not_end_the_clip() -> None:
    (found,), _ = samples_of([window("long", 100, 900), window("inside", 200, 440)])
    assert found.rows.tolist() == list(range(100 // 16, 900 // 16))


def test_a_probability_of_one_half_is_no_change_wherever_it_is_read() -> None:
    samples = [next(one for one in small.samples_of("oscc", 9) if len(one.targets["changes"]) == 1)]
    table = window_table(samples, np.array([0.5]))
    samples[0].targets["changes"] = np.array([0])
    assert ObjectStateChange.score(table, samples, {}) == {"accuracy": 100.0}
    assert [one["state_change"] for one in ObjectStateChange.submission(table, samples, {})] == [False]
    named = ObjectStateChange.named(table, samples, small.LABELS["oscc"])
    assert named["label"].tolist() == [small.LABELS["oscc"]["changes"][0]]
