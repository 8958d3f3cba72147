"""The block of a task, and the comparison of regimes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from egopack.params.checks import NAME, Count, Levels, Name, Strict
from egopack.params.model import ModelParams
from egopack.params.training import TrainParams, without_pack


class NoParams(Strict):
    """A block with nothing to set."""


class TaskParams(Strict):
    """What rebuilds a task's samples and network; a task narrows `samples` and `model` to its own."""

    annotations: str = Field(  # a name, which is checked with all of params.yaml: what is stored may have none
        description="source of the task's samples: fho_lta, fho_oscc-pnr or moments",
        json_schema_extra={"pattern": f"^({NAME.pattern})$"},
    )
    levels: Levels = Field(description="levels of the pyramid that the task reads")
    samples: Any = Field(description="how samples are made")
    model: ModelParams = Field(description="neck and head")


class TaskBlock(TaskParams):
    """One task's block of params.yaml: what all tasks have is typed here, `samples`, `model` and `decode` are a task's
    own (tasks/base.py: `check_task`).
    """

    module: str = Field(
        "",
        description="file of src/egopack/tasks that the task is of; empty is that of its name, of mq_verb that of mq: "
        "a name may go on after its module's",
    )
    train: Annotated[TrainParams, AfterValidator(without_pack)] = Field(description="training alone")
    egopack: TrainParams | None = Field(None, description="training with the help of a pack, if helped_by names one")
    decode: Any = Field(
        default_factory=dict, description="how predictions are made of the network's outputs; may be left out"
    )


class AnyModel(ModelParams):
    """A task's neck and head."""

    model_config = ConfigDict(extra="allow")


class AnyBlock(TaskBlock):
    """One task."""

    annotations: Name
    samples: dict[str, Any]
    model: AnyModel
    decode: dict[str, Any] = {}  # noqa: RUF012  (pydantic copies it)


class ComparisonParams(Strict):
    """What the comparison of the regimes shows."""

    multi_pack: Name | None = Field(None, description="the pack whose multi-task training stands in the comparison")


class ReportParams(Strict):
    """What the report shows."""

    clips: tuple[str, ...] = Field(
        (),
        description="ids of validation clips or videos whose timelines are shown beside those of the best, the median "
        "and the worst clip",
    )


Level = Annotated[int, Field(ge=0, le=5)] | None


class SubmissionParams(Strict):
    """What submissions to EPIC-KITCHENS-100's challenges say: levels of supervision, 0 to 5 by their own scale."""

    sls_pt: Level = Field(None, description="supervision that pretraining had; submissions need it")
    sls_tl: Level = Field(None, description="supervision that training labels give; submissions need it")
    sls_td: Level = Field(None, description="how much training data there is; submissions need it")
    segments: Count = Field(1000, description="most actions that are told of a video, the likeliest")
