"""Challenge files: of the form that servers take, complete, and scored by others what the stages score themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egopack.data.shard_reader import FeatureShards
from egopack.data.splits import count_classes, read_labels, read_split
from egopack.ego4d.challenges import LTA, MQ, OSCC, PNR, Challenge
from egopack.errors import UserError
from egopack.evaluation.predict import predict
from egopack.model.checkpoint import save_checkpoint
from egopack.model.network import Network
from egopack.model.regimes import single_network
from egopack.params import load_params
from egopack.synthetic.corpus import write_corpus
from egopack.tasks.base import check_task
from tests.support import challenge_scorers, small
from tests.support.workplace import SETTINGS, Workplace

TASKS = {"lta": LTA, "oscc": OSCC, "pnr": PNR, "mq": MQ}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Indexed samples of a corpus without oddities, and a network with random weights for each task."""
    corpus = tmp_path_factory.mktemp("corpus") / "raw"
    write_corpus(corpus, SETTINGS.model_copy(update={"quirk_rate": 0.0, "test_videos": 2}))
    return ready(Workplace(tmp_path_factory.mktemp("place"), corpus))


def ready(place: Workplace) -> Workplace:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.folder)
        patch.delenv("EGO4D_ROOT", raising=False)
        for stage in (["fingerprint"], ["shard"], *(["index", task] for task in TASKS)):
            done = place.run(*stage)
            assert done.exit_code == 0, done.output
        for task in TASKS:
            save_checkpoint(Path("data/models/egopack") / task, network_of(task))
    return place


@pytest.fixture(autouse=True)
def there(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    monkeypatch.delenv("EGO4D_ROOT", raising=False)


def network_of(task: str) -> Network:
    params = load_params("params.yaml")
    torch.manual_seed(0)
    block, labels = check_task(task, params.tasks[task]), count_classes(Path("data/samples") / task)
    network = single_network(SETTINGS.feature_size, params.backbone, task, block, labels)
    small.randomize(network)
    return network.eval()


def validated(task: str) -> tuple[Any, dict[str, float], Any]:
    """The submission of the validation split, the project's own scores of it, and the annotations."""
    folder = Path("data/samples") / task
    samples, labels, network = read_split(folder, "val"), read_labels(folder), network_of(task)
    head = network.head(task)
    device = torch.device("cpu")
    table = predict(network, task, samples, FeatureShards("data/shards"), head.Decode(), seed=0, device=device)
    source = TASKS[task].source
    truth = json.loads(Path(f"raw/annotations/v1/{source}_val.json").read_text())
    return json.loads(json.dumps(head.submission(table, samples, labels))), head.score(table, samples, labels), truth


def test_oscc_is_scored_the_same() -> None:
    submission, scores, truth = validated("oscc")
    assert challenge_scorers.oscc(submission, truth) == pytest.approx(scores["accuracy"], abs=1e-9)


def test_pnr_is_scored_the_same() -> None:
    submission, scores, truth = validated("pnr")
    assert challenge_scorers.pnr(submission, truth) == pytest.approx(scores["error_s"], abs=1e-9)


@pytest.mark.parametrize("part", ["verb", "noun"])
def test_lta_is_scored_the_same(part: str) -> None:
    submission, scores, truth = validated("lta")
    assert challenge_scorers.lta(submission, truth, part) == pytest.approx(scores[f"{part}_ed"], abs=1e-9)


def test_mq_is_scored_the_same() -> None:
    """Rows begin at a multiple of the stride, up to half a second before the clip does; a submission counts from the
    clip's start and cannot go below 0. That cut apart, the scores are the same.
    """
    submission, scores, truth = validated("mq")
    assert challenge_scorers.mq(submission, truth) == pytest.approx(scores["map"], abs=0.05)
    folder = Path("data/samples/mq")
    samples, labels, network = read_split(folder, "val"), read_labels(folder), network_of("mq")
    head, rows = network.head("mq"), FeatureShards("data/shards")
    table = predict(network, "mq", samples, rows, head.Decode(), seed=0, device=torch.device("cpu"))
    begins = table["key"].map({sample.key: float(sample.metadata["offset"][0]) for sample in samples})
    table["start"], table["end"] = (np.maximum(table[edge], begins) for edge in ("start", "end"))
    cut = head.score(table[table["end"] > table["start"]], samples, labels)
    assert challenge_scorers.mq(submission, truth) == pytest.approx(cut["map"], abs=1e-9)
    assert scores["map"] > 0


@pytest.mark.parametrize("task", TASKS)
def test_the_stage_writes_what_the_split_asks_for(task: str, place: Workplace) -> None:
    done = place.run("submit", task)
    assert done.exit_code == 0, done.output
    content = json.loads(Path(f"data/submissions/{task}.json").read_text())
    challenge = TASKS[task]
    file = Path(f"raw/annotations/v1/{challenge.source}_test_unannotated.json")
    raw = json.loads(file.read_text())
    if task == "mq":
        asked = {clip["clip_uid"] for video in raw["videos"] for clip in video["clips"]}
    elif task == "lta":
        asked = lta_keys(raw)
    else:
        asked = {row["unique_id"] for row in raw["clips"]}
    assert asked
    assert set(challenge.given(content)) == asked
    told = rf"data/submissions/{task}\.json: {len(asked)} entries, \d\.\d MB, by data/models/egopack/{task}\n"
    assert re.fullmatch(told, done.output)
    first = Path(f"data/submissions/{task}.json").read_bytes()
    place.run("submit", task)
    assert Path(f"data/submissions/{task}.json").read_bytes() == first


def lta_keys(raw: dict[str, Any]) -> set[str]:
    """Of n actions, those at 1 ... n - 22 are a last observed one (section 1 of the method)."""
    rows = sorted((row["clip_uid"], row["action_idx"]) for row in raw["clips"])
    return {
        f"{clip}_{index}"
        for n, (clip, index) in enumerate(rows[:-21])
        if n and rows[n - 1][0] == rows[n + 21][0] == clip
    }


def test_what_has_no_features_is_missed_and_nothing_is_written(place: Workplace) -> None:
    out = Path("data/submissions/short.json")
    annotation = place.annotation("moments_test_unannotated")
    before = annotation.read_bytes()
    place.edit_json(
        "moments_test_unannotated",
        lambda raw: raw["videos"][0]["clips"].append({**raw["videos"][0]["clips"][0], "clip_uid": "new"}),
    )
    try:
        done = place.run("submit", "mq", "--out", str(out))
    finally:
        annotation.write_bytes(before)
    assert done.exit_code == 1
    assert done.output.startswith(
        f"Error: {out}: 1 of 3 keys of moments_test_unannotated.json are missing: new; nothing is"
    )
    assert not out.exists()


def test_videos_without_features_are_answered_by_chance(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Workplace(tmp_path, place.raw)
    videos = json.loads(other.annotation("moments_test_unannotated").read_text())["videos"]
    gone = videos[0]["video_uid"]
    (other.features_folder / f"{gone}.pt").unlink()
    ready(other)
    monkeypatch.chdir(tmp_path)
    for task, challenge in TASKS.items():
        with monkeypatch.context() as there:
            there.chdir(place.folder)
            assert place.run("submit", task).exit_code == 0
        done = other.run("submit", task)
        assert done.exit_code == 0, done.output  # it is checked against all that the split asks for
        assert f"{task}: " in done.output
        assert "are answered by chance, since their videos have no features" in done.output
        whole = json.loads((place.folder / f"data/submissions/{task}.json").read_text())
        content = json.loads(Path(f"data/submissions/{task}.json").read_text())
        assert set(challenge.given(content)) == set(challenge.given(whole))
        report = json.loads(Path(f"data/samples/{task}/report.json").read_text())["test_unannotated"]
        assert report["lacking"] == [gone]
        assert report["skipped"]["video without features"]["count"] > 0


def test_ar_has_no_challenge(place: Workplace) -> None:
    place.run("index", "ar")
    save_checkpoint("data/models/egopack/ar", network_of("ar"))
    done = place.run("submit", "ar")
    assert done.exit_code == 1
    assert done.output == "Error: ar: there is no challenge to answer\n"


def drop(key: str) -> Callable[[Any], Any]:
    return lambda content: {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ("challenge", "content", "message"),
    [
        (OSCC, [{"unique_id": "a", "state_change": 1}], r"0\.state_change: 1 is not of type 'boolean'"),
        (OSCC, [{"unique_id": "a"}], "0: 'state_change' is a required property"),
        (OSCC, [{"unique_id": "a", "state_change": True}] * 2, "1 keys are there twice"),
        (OSCC, [], "2 of 2 keys of a.json are missing: a, b"),
        (
            OSCC,
            [{"unique_id": one, "state_change": True} for one in "abc"],
            "1 of 2 keys of a.json are not asked for: c",
        ),
        (PNR, [{"unique_id": "a", "pnr_frame": -1}], r"0\.pnr_frame: -1 is less than the minimum of 0"),
        (PNR, [{"unique_id": "a", "pnr_frame": 1, "x": 1}], "Additional properties are not allowed"),
        (LTA, {"c_1": {"verb": [[0] * 20] * 5, "noun": [[0] * 20] * 4}}, r"c_1\.noun: .* is too short"),
        (LTA, {"c_1": {"verb": [[0] * 19] * 5, "noun": [[0] * 20] * 5}}, r"c_1\.verb\.0: .* is too short"),
        (LTA, {"c_1": {"verb": [[0.5] * 20] * 5, "noun": [[0] * 20] * 5}}, "0.5 is not of type 'integer'"),
        (LTA, {"c": {"verb": [[0] * 20] * 5, "noun": [[0] * 20] * 5}}, "'c' does not match"),
        (MQ, {"version": "1.0"}, "is a required property"),
    ],
)
def test_what_a_server_would_refuse(challenge: Challenge, content: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"clips": [{"unique_id": "a"}, {"unique_id": "b"}]}))
    with pytest.raises(UserError, match=message):
        challenge.check(content, tmp_path / "a.json", "out.json")
