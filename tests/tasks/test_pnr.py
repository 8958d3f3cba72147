from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch_geometric.nn import PositionalEncoding

from egopack.data.samples import Sample
from egopack.ego4d.sources.fho_oscc_pnr import Window
from egopack.errors import UserError
from egopack.tasks.base import check_task
from egopack.tasks.pnr import (
    FRAMES,
    PointOfNoReturn,
    candidate_frames,
    frame_labels,
    frame_table,
    keyframe_index,
)
from tests.support import small

FPS = 30.0


def window(name: str, start: int, end: int, pnr: int | None, change: bool | None = True, **others: Any) -> Window:
    values = {"video_uid": "v", "clip_id": name} | others
    return Window(unique_id=name, start=start, end=end, state_change=change, pnr=pnr, **values)


def samples_of(*windows: Window, split: str = "train", rows: int = 200) -> tuple[list[Sample], dict[str, Any]]:
    source = small.source_of(small.FakeAnnotations(windows=windows), v=rows)
    return PointOfNoReturn.samples(source, split, small.task_params("pnr")), source.skips.to_dict()


def by_hand(start: int, end: int, pnr: int, available: int) -> tuple[list[int], list[int], int]:
    """Rows, candidates and the positive of the window [start, end), section 1 of the method."""
    first, last = start // 16, min(end // 16, available) - 1
    rows = [int(first + (last - first) * i / 15) for i in range(16)]
    candidates = [int(start + (end - start) * i / 16) for i in range(16)]
    return rows, candidates, min(range(16), key=lambda i: (abs(candidates[i] - pnr), i))


def test_one_sample_a_window_with_a_state_change() -> None:
    windows = [
        window("a", 100, 340, 222),
        window("no change", 100, 340, None, False),
        window("no frame", 100, 340, None),
        window("absent", 0, 240, 5, video_uid="w"),
        window("outside", 9000, 9240, 9100),
    ]
    (sample,), skips = samples_of(*windows)
    rows, candidates, positive = by_hand(100, 340, 222, 200)
    assert sample.rows.tolist() == rows
    assert candidate_frames(100, 340).tolist() == candidates
    assert sample.targets["frame_labels"].tolist() == [float(i == positive) for i in range(16)]
    np.testing.assert_allclose(sample.pos, np.arange(16) * 16 / 30, rtol=1e-6)
    assert {reason: entry["examples"] for reason, entry in skips.items()} == {
        "window without a state change": ["no change"],
        "state change without a point of no return": ["no frame"],
        "video without features": ["absent"],
        "window outside of the video's features": ["outside"],
    }


def test_the_test_split_keeps_every_window() -> None:
    samples, _ = samples_of(
        window("a", 100, 340, None, None), window("b", 0, 240, None, None), split="test_unannotated"
    )
    assert [sample.key for sample in samples] == ["a", "b"]
    assert not any(sample.targets["frame_labels"].any() for sample in samples)


@settings(max_examples=200, deadline=None)
@given(
    start=st.integers(0, 2000),
    length=st.integers(150, 260),
    at=st.floats(0, 1),
    seed=st.integers(0, 10_000),
    available=st.integers(1, 160),
)
def test_a_crop_obeys_its_rules(start: int, length: int, at: float, seed: int, available: int) -> None:
    end, pnr = start + length, start + int(at * length)
    whole, _ = samples_of(window("a", start, end, pnr), rows=available)
    assume(bool(whole))
    drawn = PointOfNoReturn.augment(whole[0], small.task_params("pnr"), np.random.default_rng(seed))

    generator = np.random.default_rng(seed)
    seconds = generator.uniform(5, 8)
    first = start / FPS + generator.uniform(0, 8 - seconds)
    low, high = int(first * FPS), int(min(first + seconds, end / FPS) * FPS)
    if pnr > high:
        high = end
    if pnr < low:
        low = start
    if high // 16 <= low // 16 or low // 16 >= available:  # the crop has no row: the whole window stands in
        assert drawn is whole[0]
        return
    rows, candidates, positive = by_hand(low, high, pnr, available)
    assert drawn.metadata["window"].tolist() == [low, high]
    assert drawn.rows.tolist() == rows
    assert drawn.targets["frame_labels"].tolist() == [float(i == positive) for i in range(16)]
    assert start <= low < high <= end
    assert low <= pnr <= high
    assert abs(candidates[positive] - pnr) <= (high - low) / 16 + 1
    assert drawn.pos.tolist() == whole[0].pos.tolist()
    assert whole[0].metadata["window"].tolist() == [start, end]


def test_crops_differ_from_draw_to_draw() -> None:
    (sample,), _ = samples_of(window("a", 100, 340, 222))
    generator = np.random.default_rng(0)
    drawn = [
        PointOfNoReturn.augment(sample, small.task_params("pnr"), generator).metadata["window"].tolist()
        for _ in range(20)
    ]
    assert len(set(map(tuple, drawn))) > 10
    assert {end - start <= 240 for start, end in drawn} == {True}


def test_rows_are_spread_over_the_window() -> None:
    (sample,), _ = samples_of(window("a", 0, 16, 3))
    assert sample.rows.tolist() == [0] * 16
    (sample,), _ = samples_of(window("a", 0, 32 * 16, 3))
    assert sample.rows.tolist() == [int(31 * i / 15) for i in range(16)]


def test_the_nearest_candidate_is_the_positive_and_the_earlier_of_two() -> None:
    assert frame_labels(0, 160, 15).tolist() == [0.0, 1.0] + [0.0] * 14  # 10 and 20 are as near
    assert not frame_labels(0, 160, -1).any()


def published_keyframe(logits: list[float]) -> int:
    confident = [i for i, value in enumerate(logits) if value > 0.7]
    return min(confident, key=lambda i: (abs(i - 7), i)) if confident else max(range(16), key=lambda i: (logits[i], -i))


@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.7, 0.71, 2.0]), min_size=16, max_size=16), min_size=1, max_size=4)
)
def test_keyframe_of_the_published_rule(logits: list[list[float]]) -> None:
    assert keyframe_index(np.array(logits)).tolist() == [published_keyframe(row) for row in logits]


def test_scores_by_hand_and_submission() -> None:
    samples, _ = samples_of(window("a", 100, 340, 222), window("b", 7, 250, 30))
    logits = np.full((2, FRAMES), -5.0)
    logits[0, [3, 8]] = [0.9, 0.8]
    logits[1, 2] = 0.1
    table = frame_table(samples, logits)
    scores = PointOfNoReturn.score(table, samples, {})
    official = [abs(240 / 16 * 3 - 122) / 30, abs(243 / 16 * 2 - 23) / 30]
    published = [abs(candidate_frames(100, 340)[8] - 222) / 30, abs(candidate_frames(7, 250)[2] - 30) / 30]
    assert scores["error_s"] == pytest.approx(np.mean(official))
    assert scores["error_published_s"] == pytest.approx(np.mean(published))
    submitted = json.loads(json.dumps(PointOfNoReturn.submission(table, samples, {})))
    assert submitted == [{"unique_id": "a", "pnr_frame": 45.0}, {"unique_id": "b", "pnr_frame": 243 / 16 * 2}]


def test_forward_by_hand() -> None:
    task = small.task_of("pnr").eval()
    batch = small.batch_of(small.samples_of("pnr", 3))
    x = torch.randn(48, small.HIDDEN)
    encoding = PositionalEncoding(small.HIDDEN)(torch.arange(16.0)).repeat(3, 1)
    torch.testing.assert_close(task([x], batch)["logits"], task.classifier(task.neck(x + encoding)))


def test_streams_do_not_see_the_frame_index() -> None:
    task = small.task_of("pnr")
    x = torch.randn(16, small.HIDDEN)
    assert task.align([x], small.batch_of(small.samples_of("pnr", 1))) is x


def test_loss_and_decoding() -> None:
    samples = small.samples_of("pnr", 3)
    batch, task = small.batch_of(samples), small.task_of("pnr")
    logits = torch.randn(48, 1)
    terms = task.loss({"logits": logits}, batch)
    torch.testing.assert_close(
        terms["frame"], F.binary_cross_entropy(torch.sigmoid(logits[:, 0]), batch.targets["frame_labels"])
    )
    table = task.decode({"logits": logits}, batch, samples, None, np.random.default_rng(0))
    assert table["key"].tolist() == [sample.key for sample in samples]
    best = logits.reshape(3, 16).argmax(1).numpy()
    np.testing.assert_allclose(table["frame"], 240 / 16 * best)
    np.testing.assert_allclose(np.array(table["logits"].to_list()), logits.reshape(3, 16))


def test_chance_is_the_centre() -> None:
    samples, _ = samples_of(window("a", 100, 340, 222))
    table = PointOfNoReturn.chance([], samples, {}, np.random.default_rng(0))
    assert table["frame"].tolist() == [120.0]
    assert table["candidate"].tolist() == [220]


def test_the_shortest_crop_is_no_longer_than_the_longest() -> None:
    block = {"annotations": "fho_oscc-pnr", "levels": 1, "model": {"features": 8}}
    with pytest.raises(UserError, match=r"^params\.yaml: tasks\.pnr\.samples: shortest_s 8\.0 exceeds longest_s 5\.0$"):
        check_task("pnr", block | {"samples": {"shortest_s": 8.0, "longest_s": 5.0}})


def test_errors_are_seconds_of_the_video() -> None:
    (sample,) = small.samples_of("pnr", 1)
    start = int(sample.metadata["window"][0])
    sample.metadata.update(fps=np.array([25.0]), pnr=np.array([start + 40]))
    table = pd.DataFrame({"key": [sample.key], "frame": [90.0], "candidate": [start + 15]})
    assert PointOfNoReturn.score(table, [sample], {}) == {"error_s": 2.0, "error_published_s": 1.0}
