"""The block of a task, and the comparison of regimes."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from egopack.params.checks import NAME, Count, Name, Strict
from egopack.params.model import ModelParams
from egopack.params.training import TrainParams


class NoParams(Strict):
    """A block with nothing to set."""


class TaskParams(Strict):
    """What rebuilds a task's samples and network; a task narrows `samples` and `model` to its own."""

    annotations: str = Field(  # a name, which is checked with all of params.yaml: what is stored may have none
        description="source of the task's samples: fho_lta, fho_oscc-pnr or moments",
        json_schema_extra={"pattern": f"^({NAME.pattern})$"},
    )
    levels: Count = Field(description="levels of the pyramid that the task reads")
    samples: Any = Field(description="how samples are made")
    model: ModelParams = Field(description="neck and head")


class RegimeParams(Strict):
    """How a task is trained alone and helped by a pack."""

    pack: Name = Field(description="the pack that helps the task in EgoPack; the task is not one of its members")
    train: TrainParams = Field(description="training alone")
    egopack: TrainParams = Field(description="training with the help of the pack")


class ComparisonParams(Strict):
    """What the comparison of the regimes shows."""

    multi_pack: Name = Field(description="the pack whose multi-task training stands in the comparison")
