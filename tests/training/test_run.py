"""What a training says while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from egopack.tasks.mq import MomentQueries
from egopack.training import run
from egopack.training.curves import write_curves
from tests.support.workplace import Workplace


def test_a_head_that_cannot_learn_is_told_once(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(params: dict[str, Any]) -> None:
        params["tasks"]["mq"]["train"] |= {"epochs": 3, "warmup_epochs": 0}

    workplace.edit_params(longer)
    for stage in (["shard"], ["index", "mq"]):
        assert workplace.run(*stage).exit_code == 0
    healthy = workplace.run("train_single", "mq")
    assert healthy.exit_code == 0
    assert "Warning" not in healthy.output
    monkeypatch.setattr(MomentQueries, "trouble", lambda self: "the head sleeps")
    assert workplace.run("train_single", "mq").output.count("Warning: tasks.mq: the head sleeps\n") == 1


def test_curves_grow_while_it_runs_and_repeat_nothing(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(params: dict[str, Any]) -> None:
        params["tasks"]["ar"]["train"] |= {"epochs": 4, "warmup_epochs": 0}
        params["tasks"]["ar"]["train"]["extras"]["evaluate_every"] = 1
        params["runtime"] |= {"save_every": 1, "tensorboard": True}

    workplace.edit_params(longer)
    for stage in (["shard"], ["index", "ar"]):
        assert workplace.run(*stage).exit_code == 0
    file, grown = Path("metrics/curves/single/ar.csv"), list[list[str]]()

    def watched(path: Path, reports: list[Any]) -> None:
        write_curves(path, reports)
        grown.append(file.read_text().splitlines())
        if len(grown) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "write_curves", watched)
    assert workplace.run("train_single", "ar").exit_code != 0
    monkeypatch.setattr(run, "write_curves", write_curves)
    file.unlink()  # as DVC does before it runs a stage again
    resumed = workplace.run("train_single", "ar")
    assert "resumes after step" in resumed.output
    header, *rows = file.read_text().splitlines()
    assert [len(lines) for lines in grown] == [2, 3]
    assert grown[1] == [header, *rows[:2]]
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3", "4"]
    assert header.endswith("val/ar/noun_top1,val/ar/verb_top1")
    board = EventAccumulator("data/tensorboard/single/ar").Reload()
    for column, tag in (("ar/verb", "loss/ar/verb"), ("val/ar/verb_top1",) * 2, ("lr", "lr")):
        values = [float(row.split(",")[header.split(",").index(column)]) for row in rows]
        assert [event.step for event in board.Scalars(tag)] == [1, 2, 3, 4]
        assert [event.value for event in board.Scalars(tag)] == pytest.approx(values, rel=1e-5)
    assert resumed.output.splitlines()[-1].startswith("data/models/single/ar: ")
