"""What a training says while it runs."""

from __future__ import annotations

from typing import Any

import pytest

from egopack.tasks.mq import MomentQueries
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
