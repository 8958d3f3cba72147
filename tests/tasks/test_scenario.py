"""Scenario recognition, and that it takes what its README says to have a task more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from egopack.ego4d.sources.moments import MomentsClip
from egopack.ego4d.sources.scenarios import read_scenarios
from egopack.errors import UserError
from egopack.tasks.scenario import ScenarioRecognition, score_table
from tests.support import small
from tests.support.workplace import ROOT, Workplace

TASKS = ROOT / "src" / "egopack" / "tasks"
LABELS = small.LABELS["scenario"]


def clip(uid: str, video: str, start: int = 0, end: int = 900) -> MomentsClip:
    return MomentsClip(video, uid, start, end, start / 30, end / 30, (), True)


def uncommented(text: str) -> str:
    """params.yaml with the block of the sixth task as it stands there, its marks taken off."""
    begin = text.index("  # scenario:")
    end = text.index("\n\n", begin)
    return text[:begin] + re.sub(r"(?m)^  # ", "  ", text[begin:end]) + text[end:]


def test_samples_have_the_scenarios_of_their_videos() -> None:
    scenarios = {"v": ("Sewing", "Cooking"), "w": (), "x": ("Gardening",)}
    moments = [clip("a", "v"), clip("b", "w"), clip("c", "x"), clip("d", "v", 90_000, 99_000), clip("e", "absent")]
    source = small.source_of(small.FakeAnnotations(moments=moments, scenarios=scenarios), v=200, w=200, x=200)
    assert ScenarioRecognition.labels(source.annotations) == LABELS
    found = ScenarioRecognition.samples(source, "val", small.task_params("scenario"))
    assert {one.key: one.targets["scenarios"].tolist() for one in found} == {"a": [[1, 0, 1]], "c": [[0, 1, 0]]}
    assert {reason: entry["count"] for reason, entry in source.skips.to_dict().items()} == {
        "clip of a video without a scenario": 1,
        "clip outside of the video's features": 1,
        "video without features": 1,
    }


def test_loss_is_the_mean_over_clips_and_scenarios() -> None:
    task, batch = small.task_of("scenario"), small.batch_of(small.samples_of("scenario", 3))
    logits = torch.tensor([[2.0, -1.0, 0.0], [0.5, 0.5, -3.0], [0.0, 0.0, 0.0]])
    truth = batch.targets["scenarios"]
    probability = 1 / (1 + torch.exp(-logits))
    expected = -(truth * probability.log() + (1 - truth) * (1 - probability).log()).mean()
    torch.testing.assert_close(task.loss({"logits": logits}, batch)["scenario"], expected)


def precision_at_its_hits(truth: np.ndarray, score: np.ndarray) -> float:
    """Average precision: over the clips that have the scenario, the share of such clips among those scored as high."""
    return float(np.mean([truth[score >= score[hit]].mean() for hit in np.flatnonzero(truth)]))


def test_map_is_the_mean_of_the_scenarios_that_there_are() -> None:
    samples = [one for one in small.samples_of("scenario", 9) if not one.targets["scenarios"][0, 2]]
    scores = np.random.default_rng(0).random((len(samples), 3))
    truth = np.concatenate([one.targets["scenarios"] for one in samples])
    found = ScenarioRecognition.score(score_table(samples, scores), samples, LABELS)
    expected = np.mean([precision_at_its_hits(truth[:, index], scores[:, index]) for index in (0, 1)])
    assert found["map"] == pytest.approx(100 * expected, rel=1e-5)
    assert found["top1"] == pytest.approx(100 * np.mean([truth[i, row.argmax()] for i, row in enumerate(scores)]))


@pytest.mark.parametrize(
    ("scenarios", "message"),
    [
        ("Cooking", r"scenarios is \"Cooking\", expected a list of names"),
        (["a", 3], r"scenarios\[1\] is 3, expected a text"),
    ],
)
def test_what_is_no_list_of_scenarios(scenarios: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "ego4d.json"
    path.write_text(json.dumps({"videos": [{"video_uid": "u", "scenarios": scenarios}]}))
    with pytest.raises(UserError, match=message):
        read_scenarios(path)


def test_a_video_without_scenarios_has_none(tmp_path: Path) -> None:
    path = tmp_path / "ego4d.json"
    path.write_text(json.dumps({"videos": [{"video_uid": "u"}, {"video_uid": "v", "scenarios": ["Cooking"]}]}))
    assert read_scenarios(path) == {"u": (), "v": ("Cooking",)}


def test_the_lesson_shows_the_code_that_there_is() -> None:
    text, code = (TASKS / "README.md").read_text(encoding="utf-8"), (TASKS / "scenario.py").read_text(encoding="utf-8")
    shown = "".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)).splitlines()
    lines = {line.strip() for line in code.splitlines()}
    assert len([line for line in shown if line.strip()]) > 25
    assert [line for line in shown if line.strip() and line.strip() not in lines] == []
    assert len(code.splitlines()) < 120


def test_uncommented_it_is_indexed_trained_and_scored(workplace: Workplace) -> None:
    """What the lesson says: the marks taken off params.yaml are the only edit."""
    import yaml

    block = yaml.safe_load(uncommented((ROOT / "params.yaml").read_text(encoding="utf-8")))["tasks"]["scenario"]
    block["train"] |= {"epochs": 1, "warmup_epochs": 0}
    workplace.edit_params(lambda params: params["tasks"].update(scenario=block))
    for command in (["fingerprint"], ["shard"], ["index", "scenario"], ["train_single", "scenario"]):
        done = workplace.run(*command)
        assert done.exit_code == 0, done.output
    done = workplace.run("evaluate_single", "scenario")
    assert done.exit_code == 0, done.output
    for kind in ("single", "chance"):
        scores = json.loads(Path(f"metrics/{kind}/scenario.json").read_text())
        assert set(scores) == {"map", "top1"}
        assert 0 <= scores["map"] <= 100
