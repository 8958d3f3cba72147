"""EPIC-KITCHENS-100's challenges, from files of its form to scores and submissions."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import epic_files, footage
from tests.support.workplace import Workplace

SEEN = ("P01_01", "P01_02", "P03_01", "P01_11", "P03_11", "P04_01")  # P02_01, of the validation split, has no features
TASKS = {"ar": "actions", "mq_verb": "verbs", "mq_noun": "nouns"}


@pytest.fixture(scope="module")
def trained(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A workplace of EPIC-KITCHENS-100's form in which three tasks were trained, a step or two."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("epic")
        patch.chdir(folder)
        patch.delenv("EPIC_ROOT", raising=False)
        place = Workplace(folder, small_corpus)
        root = folder / "own"
        root.mkdir()
        epic_files.write_annotations(root, np.random.default_rng(0))
        footage.write_features(root / "features" / "own", dict.fromkeys(SEEN, 60.0))

        def change(params: dict[str, Any]) -> None:
            params["data"] |= {"source": "epic", "root": "own", "features": {"own": {"size": footage.SIZE}}}
            blocks = params["tasks"]
            params["tasks"] = {name: blocks[name.split("_")[0]] | {"annotations": kind} for name, kind in TASKS.items()}
            params |= {"packs": {}, "helped_by": {}, "comparison": {"multi_pack": None}}

        place.edit_params(change)
        ok(place, "fingerprint")
        ok(place, "shard")
        for task in TASKS:
            ok(place, "index", task)
            ok(place, "train_single", task)
        yield place


def ok(place: Workplace, stage: str, *arguments: str) -> str:
    done = place.run(stage, *arguments)
    assert done.exit_code == 0, done.output
    return done.output


def submitted(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("test.json"))


def say_levels(params: dict[str, Any]) -> None:
    params["submission"] = {"sls_pt": 2, "sls_tl": 3, "sls_td": 4, "segments": 300}


def test_scores_are_those_of_the_submissions(trained: Workplace) -> None:
    """By scorers that are written a second time, of what the submissions say."""
    trained.edit_params(say_levels)
    said = ok(trained, "epic")
    assert "EPIC_100_validation.csv: 120 segments of 3 videos, 40 of them without features" in said
    scores = json.loads(Path("data/submissions/epic_scores.json").read_text())
    rows = epic_files.write_annotations(trained.folder / "own", np.random.default_rng(0))
    results = submitted(Path("data/submissions/validation_action_recognition.zip"))["results"]
    logits = {
        part: np.array(
            [list(results[row["narration_id"]][part].values()) for row in rows],
            dtype=np.float32,
        )
        for part in ("verb", "noun")
    }
    expected = epic_files.recognition(rows, logits)
    for group, parts in expected.items():
        for part, values in parts.items():
            assert scores["action_recognition"][group][part] == pytest.approx(values, abs=1e-6)
    found = submitted(Path("data/submissions/validation_action_detection.zip"))["results"]
    assert set(found) == {"P01_11", "P02_01", "P03_11"}
    assert found["P02_01"] == []
    assert 0 < max(map(len, found.values())) <= 300
    for part in ("verb", "noun", "action"):
        expected_maps = epic_files.detection(rows, found, part)
        for key, value in expected_maps.items():
            assert scores["action_detection"][part][key] == pytest.approx(value, abs=1e-6)


def test_recognition_is_the_pipeline_s_own(trained: Workplace) -> None:
    """Of the segments that have features, which are all that the pipeline scores."""
    trained.edit_params(say_levels)
    ok(trained, "evaluate_single", "ar")
    ok(trained, "epic")
    own = json.loads(Path("metrics/single/ar.json").read_text())
    rows = epic_files.write_annotations(trained.folder / "own", np.random.default_rng(0))
    results = submitted(Path("data/submissions/validation_action_recognition.zip"))["results"]
    seen = [row for row in rows if row["video_id"] != "P02_01"]
    right = [
        max(scores := results[row["narration_id"]]["verb"], key=scores.get) == str(row["verb_class"]) for row in seen
    ]
    assert own["verb_top1"] == pytest.approx(100 * np.mean(right), abs=1e-3)


def test_the_test_split_is_answered_completely(trained: Workplace) -> None:
    trained.edit_params(say_levels)
    ok(trained, "epic", "--test", "--out", "answers")
    recognition = submitted(Path("answers/action_recognition.zip"))
    assert {key: recognition[key] for key in ("version", "challenge", "sls_pt", "sls_tl", "sls_td")} == {
        **{"version": "0.2", "challenge": "action_recognition"},
        **{"sls_pt": 2, "sls_tl": 3, "sls_td": 4},
    }
    assert set(recognition["results"]) == {f"P04_01_{number}" for number in range(10)}
    one = recognition["results"]["P04_01_3"]
    assert {part: len(scores) for part, scores in one.items()} == {"verb": epic_files.VERBS, "noun": epic_files.NOUNS}
    assert len(set(one["verb"].values())) > 1
    detection = submitted(Path("answers/action_detection.zip"))
    assert detection["challenge"] == "action_detection"
    assert set(detection["results"]) == {"P04_01"}
    assert detection["results"]["P04_01"]
    assert not Path("answers/epic_scores.json").exists()


def test_what_scores_need_is_rendered_too(trained: Workplace) -> None:
    ok(trained, "render", "rendered")
    lists = sorted(path.name for path in (trained.folder / "own").glob("EPIC_100_*"))
    assert sorted(path.name for path in Path("rendered").glob("EPIC_100_*")) == lists
    (trained.folder / "own" / "EPIC_100_tail_nouns.csv").rename("kept.csv")
    try:
        assert "own: missing EPIC_100_tail_nouns.csv; fetch them from" in trained.run("epic").output
    finally:
        Path("kept.csv").rename(trained.folder / "own" / "EPIC_100_tail_nouns.csv")


def test_what_is_missing_is_said_in_a_line(trained: Workplace) -> None:
    trained.edit_params(lambda params: params.update(submission={"sls_pt": 2}))
    done = trained.run("epic", "--test")
    assert done.exit_code == 1
    assert "params.yaml: submission.sls_tl: missing; a submission says it, 0 to 5" in done.output
    assert "these are Ego4D's challenges; python -m stages.epic" in trained.run("submit", "mq_verb").output
    trained.edit_params(lambda params: params["data"].update(source="table"))
    try:
        (trained.folder / "own" / "segments.csv").write_text("video,start,end,verb\na,1,2,cut\n")
        assert "data.source: 'table', but these are epic's challenges" in trained.run("epic").output
    finally:
        trained.edit_params(lambda params: params["data"].update(source="epic"))
