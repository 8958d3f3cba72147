"""A training stage that is stopped after a step of one's choice."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.training.loop import TrainingState
from egopack.training.state import STATE, Scratch
from tests.support.workplace import Workplace


def stop_after(step: int, place: Workplace, *training: str) -> None:
    """Run the training up to a step, as Ctrl-C would leave it."""
    real = TrainingState.save

    def save(now: TrainingState, scratch: Scratch) -> None:
        real(now, scratch)
        if now.step == step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "save", save)
        patch.setattr(Scratch, "due", lambda scratch, step: True)
        done = place.run(*training)
    assert done.exit_code == 1
    assert "Aborted!" in done.output
    assert len(list(Path("data/scratch").glob(f"*/{STATE}"))) == 1
