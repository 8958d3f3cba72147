"""The command of a study, with runs that cost nothing: what it runs in which order, and what it writes down."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import stages.study
from stages._jobs.server import Server
from stages._study import Clone

PLAN = {
    "seeds": {"tuning": [1, 2], "verdict": [3, 4]},
    "questions": {
        "labels": {
            "about": "Does it help?",
            "seeds": "verdict",
            "each": {"videos": [6, 60]},
            "set": {"labelled.pnr.videos": "{videos}"},
            "tune": {"lr": [0.1, 0.2, 0.4, 0.8]},
            "variants": {"plain": {}},
            "regimes": ["single/pnr", "egopack/pnr", "multi/all/pnr"],
            "differences": [{"better": "plain:egopack/pnr", "than": "plain:single/pnr"}],
            "figure": {"kind": "lines", "x": "videos"},
        }
    },
}
BEST = {"tasks.pnr.train.lr": 0.4, "tasks.pnr.egopack.lr": 0.2, "multi.lr": 0.8}
KEY = {"single/pnr": "tasks.pnr.train.lr", "egopack/pnr": "tasks.pnr.egopack.lr", "multi/all/pnr": "multi.lr"}


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings of all runs; a regime's error is how far its learning rate is from the best, and a bit of seed."""
    runs: list[dict[str, Any]] = []

    def make(self: Clone, folder: Path) -> None:
        self.folder, self.commit, self.server = folder, "0123456789abcdef", Server(1, folder / "forks.log")

    def run(self: Clone, settings: dict[str, Any], regimes: list[str]) -> list[tuple[str, str, str, float]]:
        runs.append(settings | {"regimes": regimes})
        return [
            (one, "pnr", "error_s", abs(settings[KEY[one]] - BEST[KEY[one]]) + settings["seed"] / 100)
            for one in regimes
        ]

    monkeypatch.setattr(Clone, "__init__", make)
    monkeypatch.setattr(Clone, "run", run)
    monkeypatch.setattr("stages._study.git", lambda *_, **__: "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "params.study.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
    return runs


def study(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(stages.study.main, ["--jobs", "1", *arguments])
    assert done.exit_code == status, done.output
    return done.output


def rows(name: str) -> list[dict[str, str]]:
    with Path("metrics", name).open() as file:
        return list(csv.DictReader(file))


def test_tunes_then_judges_with_the_best_and_runs_nothing_twice(ran: list[dict[str, Any]]) -> None:
    dry = study("--dry")
    assert "40 runs, 32 of them now; no run so far tells how long they take" in dry
    assert "6 regimes are not judged before their tuning is whole, labels, plain videos=6, single/pnr first" in dry
    assert not ran

    study("--tune", "--most", "3")
    assert len(ran) == 3
    said = study("--tune")
    assert len(ran) == 32  # of 2 places, 4 rates, 2 seeds, of multi apart from the two others
    assert {run["seed"] for run in ran} == {1, 2}
    assert not Path("metrics/study.csv").exists()
    assert len(rows("study_tuning.csv")) == 48
    line = "| plain videos=60 | multi/all/pnr | 8 of 8 | lr=0.8 | -0.015 | lr=0.4: -0.415 | lr: widen the grid |"
    assert line in said

    study("--most", "5")
    assert len(ran) == 37
    study()
    judged = ran[32:]
    assert sorted((run["seed"], run["labelled.pnr.videos"], len(run["regimes"])) for run in judged) == sorted(
        (seed, videos, count) for seed in (3, 4) for videos in (6, 60) for count in (1, 2)
    )
    for run in judged:
        assert all(run[KEY[regime]] == BEST[KEY[regime]] for regime in run["regimes"])
    found = rows("study.csv")
    assert len(found) == 12
    assert {row["value"] for row in found} == {"0.03", "0.04"}
    assert {row["chosen"] for row in found} == {f"{key}={BEST[key]}" for key in KEY.values()}

    assert "0 runs, 0 of them now; about 0.0 h" in study("--dry")
    assert (
        "| pnr error_s | plain videos=6:egopack/pnr | plain videos=6:single/pnr | 2 | 0.035, 0.035 | +0 ± 0 |"
        in study()
    )
    assert len(ran) == 40

    own = study("--seed", "77", "--seed", "78")
    assert [run["seed"] for run in ran[40:]] == [77] * 4 + [78] * 4
    assert "2 | 0.775, 0.775 | +0 ± 0 |" in own  # and not those of the plan
    refused = CliRunner().invoke(stages.study.main, ["--seed", "1"])
    assert refused.exit_code == 1
    assert "--seed: seeds [1] are both for tuning and for the verdict" in refused.output
    assert "metrics/study/labels.svg: written" in study("--figures")
    assert Path("metrics/study/labels.svg").read_text().startswith("<svg")


def test_a_point_that_is_missing_keeps_its_regime_from_being_judged(ran: list[dict[str, Any]]) -> None:
    study("--tune")
    path = Path("metrics/study_tuning.csv")
    lines = path.read_text().splitlines(keepends=True)
    gone = [line for line in lines if line.startswith("labels,plain videos=6,lr=0.8,2,egopack/pnr")]
    assert len(gone) == 1
    path.write_text("".join(line for line in lines if line not in gone))
    said = study("--table")
    assert "| plain videos=6 | egopack/pnr | 7 of 8 |  |  |  |  |" in said
    assert "1 regimes are not judged" in said
    before = len(ran)
    study("--tune")
    (again,) = ran[before:]
    assert (again["regimes"], again["seed"], again["tasks.pnr.egopack.lr"]) == (["egopack/pnr"], 2, 0.8)


def test_what_was_judged_with_other_settings_is_judged_again_and_the_last_counts(ran: list[dict[str, Any]]) -> None:
    study()
    path = Path("metrics/study.csv")
    text = path.read_text()
    assert text.count("tasks.pnr.egopack.lr=0.2") == 4
    path.write_text(text.replace("tasks.pnr.egopack.lr=0.2", "tasks.pnr.egopack.lr=0.1"))
    before = len(ran)
    said = study()
    assert [run["regimes"] for run in ran[before:]] == [["egopack/pnr"]] * 4
    assert len(rows("study.csv")) == 12 + 4
    assert "| 2 | 0.035, 0.035 | +0 ± 0 |" in said
    study()
    assert len(ran) == before + 4
