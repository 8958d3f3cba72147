"""Timelines: which clips, and where their segments lie."""

from __future__ import annotations

import numpy as np
import pytest

from egopack.report.clips import TRUTH, choose, shares_right, spans_of
from egopack.report.results import read_results, short
from tests.report.conftest import Pipeline
from tests.support import small


def test_best_median_and_worst(pipeline: Pipeline) -> None:
    results = read_results(pipeline.folders, pipeline.params)
    found = results.tasks["ar"]
    scores, table, row = [], found.predictions["egopack"], 0
    for sample in found.samples:
        right = []
        for verb, noun in zip(sample.targets["verbs"], sample.targets["nouns"], strict=True):
            right += [table["verb"][row][0] == verb, table["noun"][row][0] == noun]
            row += 1
        scores.append(np.mean(right))
    assert shares_right(found) == pytest.approx(scores)
    best, median, worst = (int(clip.key[4:]) for clip in choose(results, ["best", "median", "worst"]))
    assert scores[best] == max(scores)
    assert scores[worst] == min(scores)
    assert sorted(scores, reverse=True)[2] == scores[median]


def test_spans_of_every_task_lie_where_samples_say(pipeline: Pipeline) -> None:
    results = read_results(pipeline.folders, pipeline.params)
    (clip,) = choose(results, ["clip2"])
    (same,) = choose(results, ["video2"])
    assert (clip.start, clip.end, clip.video_uid) == (same.start, same.end, "video2")
    (sample,) = [one for one in results.tasks["ar"].samples if one.key == "clip2"]
    for task in ("ar", "oscc"):
        spans = spans_of(task, results, clip)
        (own,) = [one for one in results.tasks[task].samples if one.key == "clip2"]
        for row in spans.values():
            np.testing.assert_allclose([(span.start, span.end) for span in row], own.segments, rtol=1e-6)
    verb, noun = sample.targets["verbs"][0], sample.targets["nouns"][0]
    names = small.LABELS["ar"]
    assert spans_of("ar", results, clip)[TRUTH][0].label == f"{names['verbs'][verb]} {names['nouns'][noun]}"
    anticipated = spans_of("lta", results, clip)
    assert [span.start for span in anticipated["egopack"]] == [0, 1, 2, 3]
    assert anticipated["single"][1].note.startswith("2 ahead, ")


def test_moments_keep_to_the_clip_and_the_best(pipeline: Pipeline) -> None:
    results = read_results(pipeline.folders, pipeline.params)
    (clip,) = choose(results, ["clip2"])
    spans = spans_of("mq", results, clip)["single"]
    scores = [span.score for span in spans]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= span.start < span.end <= clip.end - clip.start for span in spans)


def test_names_are_short() -> None:
    assert short('"wash_dishes,_utensils"') == "wash dishes, utensils"
    assert short("take_(pick,_grasp)") == "take"


def test_a_task_without_a_timeline_has_no_row(pipeline: Pipeline) -> None:
    results = read_results(pipeline.folders, pipeline.params)
    assert spans_of("scenario", results, choose(results, ["clip2"])[0]) == {}
