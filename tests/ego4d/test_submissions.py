from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from egopack.ego4d.submissions import lta_submission, mq_submission, oscc_submission, pnr_submission

VERBS = np.arange(100).reshape(5, 20)
NOUNS = VERBS + 7


def test_lta() -> None:
    out = lta_submission({"c_1_21": (list(VERBS), list(NOUNS))}, expected=["c_1_21"])
    assert json.loads(json.dumps(out)) == {"c_1_21": {"verb": VERBS.tolist(), "noun": NOUNS.tolist()}}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"c_3": (VERBS[:4], NOUNS)}, r"'c_3' has 4 sequences of \[20\] steps, expected 5 of 20"),
        ({"c_3": (VERBS, NOUNS[:, :19])}, r"5 sequences of \[19\] steps"),
        ({"c_3": (VERBS, np.hstack([NOUNS, NOUNS[:, :1]]))}, r"5 sequences of \[21\] steps"),
        ({"c_3": (np.vstack([VERBS, VERBS[:1]]), NOUNS)}, r"6 sequences of \[20\] steps"),
        ({"c_3": (VERBS, [*NOUNS[:4].tolist(), [1]])}, r"5 sequences of \[1, 20\] steps"),
        ({"c_3": (VERBS - 1, NOUNS)}, "expected label ids"),
        ({"c_3": (VERBS + 0.5, NOUNS)}, "expected label ids"),
        ({"c": (VERBS, NOUNS)}, "'c' is not <clip_uid>_<last observed action_idx>"),
        ({"c_x": (VERBS, NOUNS)}, "'c_x' is not"),
        ({}, "1 predictions are missing, such as 'c_3'"),
        ({"c_3": (VERBS, NOUNS), "c_4": (VERBS, NOUNS)}, "1 predictions are not asked for, such as 'c_4'"),
    ],
)
def test_lta_refuses(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lta_submission(entries, expected=["c_3"])


def test_oscc() -> None:
    out = oscc_submission([("b", np.bool_(True)), ("a", False)], expected=["a", "b"])
    assert json.loads(json.dumps(out)) == [
        {"unique_id": "b", "state_change": True},
        {"unique_id": "a", "state_change": False},
    ]
    with pytest.raises(ValueError, match="'a' is predicted twice"):
        oscc_submission([("a", True), ("a", False)])
    with pytest.raises(ValueError, match="missing, such as 'b'"):
        oscc_submission([("a", True)], expected=["a", "b"])


def test_pnr() -> None:
    out = pnr_submission([("a", np.float32(37.5))], expected=["a"])
    assert json.loads(json.dumps(out)) == [{"unique_id": "a", "pnr_frame": 37.5}]
    for frame in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="PNR entry 'a' is frame"):
            pnr_submission([("a", frame)])


def test_mq() -> None:
    segments = [("cut", 0.5, (1.5, 2.0)), ("peel", np.float32(0.75), (np.float32(0.5), 3)), ("cut", 0.9, (0.0, 1.0))]
    out = mq_submission({"c": segments, "d": []}, expected=["c", "d"])
    first, second, third = (
        {"label": "cut", "score": 0.9, "segment": [0.0, 1.0]},
        {"label": "peel", "score": 0.75, "segment": [0.5, 3.0]},
        {"label": "cut", "score": 0.5, "segment": [1.5, 2.0]},
    )
    assert json.loads(json.dumps(out)) == {
        "version": "1.0",
        "challenge": "ego4d_moment_queries",
        "detect_results": {"c": [first, second, third], "d": []},
        "retrieve_results": {"c": {"cut": [first, third], "peel": [second]}, "d": {}},
    }


@pytest.mark.parametrize(
    "segment",
    [
        ("cut", np.nan, (0, 1)),
        ("cut", 0.5, (1, 1)),
        ("cut", 0.5, (-0.1, 1)),
        ("cut", 0.5, (0, np.inf)),
        (3, 0.5, (0, 1)),
    ],
)
def test_mq_refuses(segment: Any) -> None:
    with pytest.raises(ValueError, match="MQ clip 'c' holds"):
        mq_submission({"c": [segment]})
    with pytest.raises(ValueError, match="missing, such as 'd'"):
        mq_submission({"c": []}, expected=["c", "d"])
