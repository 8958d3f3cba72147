"""Pairs of two detectors' segments."""

from __future__ import annotations

import numpy as np
import pytest

from egopack.challenges.epic_detection import PAIR_TIOU, ActionSegments, detection_scores, pair_segments
from egopack.detection.average_precision import Predictions


def detections(rng: np.random.Generator, count: int) -> Predictions:
    start = rng.uniform(0, 20, count)
    segments = np.stack([start, start + rng.uniform(0.5, 6, count)], axis=1)
    return Predictions(rng.integers(0, 3, count), segments, rng.integers(0, 5, count), rng.random(count))


def one_by_one(verbs: Predictions, nouns: Predictions) -> list[tuple[float, ...]]:
    found = []
    for i in range(len(verbs.video)):
        for j in range(len(nouns.video)):
            (a, b), (c, d) = verbs.segments[i], nouns.segments[j]
            shared = max(min(b, d) - max(a, c), 0)
            if verbs.video[i] == nouns.video[j] and shared / (b - a + d - c - shared) >= PAIR_TIOU:
                p, q = verbs.scores[i], nouns.scores[j]
                middle = ((p * a + q * c) / (p + q), (p * b + q * d) / (p + q))
                found.append((verbs.video[i], -((p * q) ** 0.5), verbs.labels[i], nouns.labels[j], *middle))
    return sorted(found)


def test_every_two_segments_that_overlap_make_an_action() -> None:
    rng = np.random.default_rng(0)
    verbs, nouns = detections(rng, 60), detections(rng, 80)
    actions, scores = pair_segments(verbs, nouns, 1000)
    expected = np.array(one_by_one(verbs, nouns))
    assert len(expected) > 50
    found = np.column_stack([actions.video, -scores, actions.verb, actions.noun, actions.segments])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_best_of_each_video_are_kept() -> None:
    rng = np.random.default_rng(1)
    verbs, nouns = detections(rng, 60), detections(rng, 80)
    actions, scores = pair_segments(verbs, nouns, 4)
    whole, every = pair_segments(verbs, nouns, 1000)
    for video in range(3):
        assert scores[actions.video == video].tolist() == every[whole.video == video][:4].tolist()


@pytest.mark.parametrize("empty", ["verbs", "nouns"])
def test_without_segments_there_are_no_actions(empty: str) -> None:
    some, none = detections(np.random.default_rng(2), 5), detections(np.random.default_rng(2), 0)
    actions, scores = pair_segments(*((none, some) if empty == "verbs" else (some, none)), 10)
    assert len(scores) == len(actions.video) == len(actions.segments) == 0


def actions(*segments: tuple[float, float]) -> ActionSegments:
    """Segments of one class in one video."""
    zeros = np.zeros(len(segments), np.int64)
    return ActionSegments(zeros, zeros, zeros, np.array(segments))


def test_of_equal_overlaps_the_later_segment_is_taken() -> None:
    truth, found = actions((0, 2), (2, 4)), actions((0, 4), (0, 2))
    assert detection_scores(truth, found, np.array([0.9, 0.8]))["action"]["average"] == 100
    swapped = actions((2, 4), (0, 2))
    assert detection_scores(swapped, found, np.array([0.9, 0.8]))["action"]["average"] == 50


def test_of_equal_scores_the_later_row_is_first() -> None:
    truth, found = actions((0, 2)), actions((8, 9), (0, 2))
    assert detection_scores(truth, found, np.array([0.5, 0.5]))["verb"]["average"] == 100
    assert detection_scores(truth, actions((0, 2), (8, 9)), np.array([0.5, 0.5]))["verb"]["average"] == 50
