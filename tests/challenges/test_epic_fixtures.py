"""The challenges' scores on a folder of EPIC-KITCHENS-100's form: pytest --epic-dir DIR takes any.

Results lie in DIR or below: <name>_expected.json beside <name>_detections.json or <name>.npz. The annotations are the
nearest ones, in the results' folder or above it. Without the option a folder is written, and what it expects computed,
by code that is written a second time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from egopack.challenges.epic_detection import ActionSegments, detection_scores
from egopack.challenges.epic_recognition import RecognitionTruth, recognition_scores
from tests.support import epic_files

TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = pytestconfig.getoption("--epic-dir")
    return Path(given) if given else epic_files.write_folder(tmp_path_factory.mktemp("epic"))


def expected_files(folder: Path, suffix: str) -> list[tuple[Path, Path]]:
    """(expected, given) of every result."""
    found = [
        (path, path.with_name(path.name.replace("_expected.json", suffix))) for path in folder.rglob("*_expected.json")
    ]
    found = sorted(pair for pair in found if pair[1].exists())
    assert found, f"{folder} has no <name>_expected.json beside <name>{suffix}"
    return found


def annotations(near: Path, name: str) -> pd.DataFrame:
    path = next(folder / name for folder in near.resolve().parents if (folder / name).exists())
    return pd.read_csv(path)


def assert_near(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert_near(found[key], value)
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_detection(folder: Path) -> None:
    for expected, given in expected_files(folder, "_detections.json"):
        result = json.loads(expected.read_text())
        truth = annotations(given, "EPIC_100_validation.csv")
        truth = truth[truth["video_id"].isin(result["videos"])]
        index = {video: number for number, video in enumerate(result["videos"])}
        times = [truth[f"{edge}_timestamp"].map(epic_files.seconds) for edge in ("start", "stop")]
        wanted = ActionSegments(
            truth["video_id"].map(index).to_numpy(),
            truth["verb_class"].to_numpy(),
            truth["noun_class"].to_numpy(),
            np.stack(times, axis=1),
        )
        rows = [
            (index[video], one["verb"], one["noun"], one["score"], *one["segment"])
            for video, found in json.loads(given.read_text())["results"].items()
            for one in found
            if video in index
        ]
        table = pd.DataFrame(rows, columns=["video", "verb", "noun", "score", "start", "end"])
        detected = ActionSegments(
            *(table[column].to_numpy() for column in ("video", "verb", "noun")), table[["start", "end"]].to_numpy()
        )
        scores = detection_scores(wanted, detected, table["score"].to_numpy())
        assert_near(scores, {part: result[part] for part in ("verb", "noun", "action")})


def test_recognition(folder: Path) -> None:
    for expected, given in expected_files(folder, ".npz"):
        ids, logits = epic_files.read_recognition(given)
        rows = annotations(given, "EPIC_100_validation.csv").set_index("narration_id").loc[ids]
        truth = RecognitionTruth(
            rows["verb_class"].to_numpy(), rows["noun_class"].to_numpy(), tuple(rows["participant_id"])
        )
        scores = recognition_scores(
            logits["verb"],
            logits["noun"],
            truth,
            annotations(given, "EPIC_100_tail_verbs.csv")["verb"].to_list(),
            annotations(given, "EPIC_100_tail_nouns.csv")["noun"].to_list(),
            annotations(given, "EPIC_100_unseen_participant_ids_validation.csv")["participant_id"].to_list(),
        )
        assert_near(scores, json.loads(expected.read_text()))
