"""What a new task's author is told of annotations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from egopack.ego4d.annotations import Annotations
from egopack.ego4d.sources.table import SOURCES
from egopack.footage.annotations import FAMILIES
from egopack.params import load_params
from egopack.preparation.readable import readable
from tests.support.workplace import Workplace

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Gaze:
    """Where somebody looks."""

    x: float
    y: float | None


def test_sources_readers_and_fields_are_told(workplace: Workplace) -> None:
    done = workplace.run("check", "--annotations", "--root", "nowhere")
    assert done.exit_code == 0
    for name, source in SOURCES.items():
        assert re.search(rf"^  {name} +{', '.join(source.files)}$", done.output, flags=re.MULTILINE)
    told = " ".join(done.output.split())
    assert "moments(split, skips) -> list[MomentsClip] Moments clips, in file order." in told
    assert "Moment: label str, start float, end float, primary bool" in told
    assert "state_change bool | None, pnr int | None" in told
    assert max(map(len, done.output.splitlines())) <= 120


def test_a_reader_that_is_added_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def gazes(self: Annotations, split: str) -> dict[str, list[Gaze]]:
        """Looks of each clip."""
        return {}

    gazes.__annotations__ = {"split": str, "return": dict[str, list[Gaze]]}
    monkeypatch.setattr(Annotations, "gazes", gazes, raising=False)
    text = readable(load_params(ROOT / "params.yaml").data)
    assert "  gazes(split) -> dict[str, list[Gaze]]\n      Looks of each clip.\n" in text
    assert "  Gaze: x float, y float | None\n      Where somebody looks.\n" in text


def test_footage_of_ones_own_has_other_sources() -> None:
    text = readable(load_params(ROOT / "params.epic.yaml").data)
    for family, columns in FAMILIES.items():
        assert re.search(rf"^  {family} +segments with {' or '.join(columns)}$", text, flags=re.MULTILINE)
    assert "fho_lta_train.json" not in text
