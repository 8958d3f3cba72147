"""Submissions to the challenges of EPIC-KITCHENS-100."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from egopack.challenges.epic_submissions import (
    ActionDetection,
    SupervisionLevels,
    detection_submission,
    recognition_submission,
    write_submission,
)

LEVELS = SupervisionLevels(2, 3, 4)
IDS = ["P01_11_0", "P01_11_1"]


def scores(columns: int) -> np.ndarray:
    return np.arange(2 * columns, dtype=np.float32).reshape(2, columns)


def test_recognition_names_every_class_of_every_segment(tmp_path: Path) -> None:
    written = recognition_submission(IDS, scores(3), scores(2), LEVELS, expected=reversed(IDS))
    write_submission(tmp_path / "one.zip", written)
    write_submission(tmp_path / "two.zip", written)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == ["test.json"]
        read = json.loads(archive.read("test.json"))
    assert read == {
        "version": "0.2",
        "challenge": "action_recognition",
        "sls_pt": 2,
        "sls_tl": 3,
        "sls_td": 4,
        "results": {
            "P01_11_0": {"verb": {"0": 0.0, "1": 1.0, "2": 2.0}, "noun": {"0": 0.0, "1": 1.0}},
            "P01_11_1": {"verb": {"0": 3.0, "1": 4.0, "2": 5.0}, "noun": {"0": 2.0, "1": 3.0}},
        },
    }


def test_detections_are_best_first_and_a_video_without_any_has_its_entry() -> None:
    found = {"P01_11": [ActionDetection(1, 2, 0.25, 1.0, 2.5), ActionDetection(3, 4, 0.5, 0.0, 1.0)], "P01_12": []}
    written = detection_submission(found, LEVELS, expected=["P01_11", "P01_12"])
    assert written["challenge"] == "action_detection"
    assert written["results"] == {
        "P01_11": [
            {"verb": 3, "noun": 4, "action": "3,4", "score": 0.5, "segment": [0.0, 1.0]},
            {"verb": 1, "noun": 2, "action": "1,2", "score": 0.25, "segment": [1.0, 2.5]},
        ],
        "P01_12": [],
    }


def test_what_a_server_would_refuse_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 predictions are missing, such as 'P01_11_2'"):
        recognition_submission(IDS, scores(3), scores(2), LEVELS, expected=[*IDS, "P01_11_2"])
    with pytest.raises(ValueError, match="1 predictions are not asked for, such as 'P01_11_1'"):
        recognition_submission(IDS, scores(3), scores(2), LEVELS, expected=IDS[:1])
    with pytest.raises(ValueError, match="'P01_11_0' is predicted twice"):
        recognition_submission(IDS[:1] * 2, scores(3), scores(2), LEVELS)
    with pytest.raises(ValueError, match="'P01_11_1' has a score that is not finite"):
        recognition_submission(IDS, np.where(scores(3) == 4, np.nan, scores(3)), scores(2), LEVELS)
    with pytest.raises(ValueError, match=r"sls_td is 6, expected one of 0 \.\.\. 5"):
        recognition_submission(IDS, scores(3), scores(2), SupervisionLevels(0, 0, 6))
    with pytest.raises(ValueError, match=r"'P01_11' holds .* expected classes, a score, and a start before the end"):
        detection_submission({"P01_11": [ActionDetection(1, 2, 0.5, 2.0, 2.0)]}, LEVELS)
