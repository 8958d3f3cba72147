"""The contract that every task fulfils; one class serves the three training regimes.

A new task is one file here, with a subclass of `Task`, and one block of the same name in `params.yaml: tasks`. The
block has `annotations` (one of the task's `sources`), `levels`, `samples` and `model` (the fields of its `Params`), and
`train` and `egopack` (batch_size, epochs, warmup_epochs, lr); `decode` (its `Decode`) may be left out.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field, create_model
from torch import Tensor, nn

from egopack.data.batch import Batch
from egopack.data.footage import Footage
from egopack.data.grid import Grid
from egopack.data.samples import Sample
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.challenges import Challenge
from egopack.ego4d.layout import TEST
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.labels import Labels
from egopack.nn.fusion import Streams
from egopack.nn.heads import Neck
from egopack.params import NoParams, Strict, TaskBlock, TaskParams, check

if TYPE_CHECKING:
    import pandas as pd

Outputs = dict[str, Tensor]
# that a video may lack: one that its last frames are too few for, and one more where windows overlap
ROWS_AT_THE_END = 2


@dataclass(frozen=True)
class SampleSource:
    """What samples are made of: annotations, the rows that each video has, the grid of rows, and where skipped items
    are counted.
    """

    annotations: Annotations
    rows: Mapping[str, int]
    grid: Grid
    skips: Skips
    lacking: set[str] = field(default_factory=set)  # videos without features, as they are asked for
    asked: set[str] = field(default_factory=set)  # videos with features, as they are asked for

    def usable(self, video_uid: str, item: str, split: str = "") -> bool:
        """Whether the video has features; if not, the item is counted. Of a challenge, whose `split` is given, it is
        used all the same on the test split, without rows: a server expects every item, also those of videos that
        nobody can have.
        """
        if video_uid in self.rows:
            self.asked.add(video_uid)
            return True
        self.lacking.add(video_uid)
        self.skips.add("video without features", item)
        return split == TEST

    def rows_within(
        self, video_uid: str, frames: tuple[float, float], split: str, reason: str, item: str, early: str = ""
    ) -> np.ndarray | None:
        """The rows of a stretch [start, end) of a video.

        Where there is none, the item is counted under `reason` and left out (None), but on the test split, where every
        item has to be predicted, it gets the nearest row; no row where the video has no features. Where these end
        before the stretch does, it is counted under `early`, if that is given.
        """
        available = self.rows.get(video_uid, 0)
        rows = self.grid.rows(*frames, available)
        if not len(rows):
            if available:
                self.skips.add(reason, item)
            if split != TEST:
                return None
            return self.grid.nearest(frames[1] - 1, available) if available else rows
        if early and frames[1] // self.grid.stride - available > ROWS_AT_THE_END:
            self.skips.add(early, item)
        return rows

    def count_rowless(self, pos: np.ndarray, segments: np.ndarray, reason: str, items: Sequence[str]) -> None:
        """Count the `items` whose segments [S, 2] no node lies in, at positions [n], if there are any."""
        if not len(pos):
            return
        first, last = np.searchsorted(pos, segments[:, 0], "left"), np.searchsorted(pos, segments[:, 1], "right")
        for k in np.flatnonzero(last <= first).tolist():
            self.skips.add(reason, items[k])


class Task(nn.Module, ABC):
    """A task: its samples, its head on the shared pyramid, its loss, its predictions and their scores.

    Class attributes: `Params` and `Decode` check the task's block of params.yaml; `sources` are the annotations that
    `samples` can read; `headline` maps the metrics that a comparison shows to the direction that is better ("max" or
    "min"); `challenge` is what a server takes, if there is one.
    """

    Params: ClassVar[type[TaskParams]]
    Decode: ClassVar[type[Strict]] = NoParams
    sources: ClassVar[tuple[str, ...]]
    headline: ClassVar[dict[str, str]]
    challenge: ClassVar[Challenge | None] = None

    def __init__(self, hidden: int, params: TaskParams, labels: Mapping[str, int], streams: Sequence[str] = ()) -> None:
        """`hidden` is the backbone's width H, `labels` the number of classes of each label set, `streams` the support
        tasks.
        """
        super().__init__()
        self.params, self.model = params, params.model
        self.neck = Neck(hidden, params.model.features, params.model.dropout)
        self.support = tuple(streams)

    # --- data
    @classmethod
    @abstractmethod
    def labels(cls, annotations: Annotations) -> Labels:
        """The label sets of this task, from the data."""

    @classmethod
    @abstractmethod
    def samples(cls, source: SampleSource, split: str, params: TaskParams) -> list[Sample]:
        """All samples of a split (section 1 of the method)."""

    @classmethod
    def from_footage(cls, footage: Footage, params: TaskParams) -> list[Sample]:
        """Samples of a video of which nothing is annotated; tasks that can predict one override this and `named`."""
        raise UserError(f"{cls.__name__} predicts what is annotated, and no other video")

    @classmethod
    def augment(cls, sample: Sample, params: TaskParams, generator: np.random.Generator) -> Sample:
        """The sample as training sees it this time; tasks that augment override this."""
        return sample

    # --- model
    @abstractmethod
    def align(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        """Features of each level [N_l, F] -> this task's granularity [M, F]."""

    @abstractmethod
    def forward(self, levels: Sequence[Tensor], batch: Batch, streams: Streams | None = None) -> Outputs:
        """Backbone features of each level [N_l, H], and perhaps auxiliary streams [M, F] -> outputs by name."""

    @abstractmethod
    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The terms whose sum is minimized, by name; each a scalar.

        `batch` may be a part of a larger one, of which all parts' terms are added up. So a mean over rows is multiplied
        by `batch.share` of them, and any other count that a term is divided by is its `batch.total`.
        """

    def readout(self, outputs: Outputs, batch: Batch) -> Outputs:
        """What decoding starts from, as tensors: probabilities, seconds. It is what an exported program gives."""
        found = {name: torch.softmax(value.float(), 1) for name, value in outputs.items() if name.endswith("logits")}
        return {name.replace("logits", "probability"): value for name, value in found.items()}

    # --- predictions
    @abstractmethod
    def decode(
        self, outputs: Outputs, batch: Batch, samples: Sequence[Sample], decode: Any, generator: np.random.Generator
    ) -> pd.DataFrame:
        """Predictions of a batch, one table with a `key` column; the tables of all batches are concatenated. The
        generator is this batch's own.
        """

    @classmethod
    @abstractmethod
    def score(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> dict[str, float]:
        """Metrics of the predictions of all samples, by name."""

    @classmethod
    @abstractmethod
    def chance(
        cls, train: Sequence[Sample], samples: Sequence[Sample], labels: Labels, generator: np.random.Generator
    ) -> pd.DataFrame:
        """Predictions that know the labels' frequencies in `train` and nothing of the features of `samples`."""

    def trouble(self) -> str:
        """What keeps the head from learning, as the last batch of a training showed it; empty where nothing does."""
        return ""

    @classmethod
    def named(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> pd.DataFrame:
        """Predictions of `from_footage`'s samples as people read them: `start`, `end` (seconds of the video), `label`,
        `score` (0 to 1), and what else the task tells.
        """
        raise NotImplementedError

    @classmethod
    def submission(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> Any:
        """What the challenge server takes, as JSON-ready values; None where there is no challenge."""
        return None


def module_of(name: str) -> str:
    """The module of a task: that of its name; or, so that one may serve several tasks, that of its name without the
    last words (mq of mq_verb).

    Raises:
        UserError: there is none.
    """
    known = sorted(
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.name != "base"
    )
    words = name.split("_")
    for count in range(len(words), 0, -1):
        if (module := "_".join(words[:count])) in known:
            return module
    raise UserError(
        f"params.yaml: tasks.{name}: there is no src/egopack/tasks/{name}.py (there are {', '.join(known)})"
    )


@cache  # loaders ask for every sample, and to look for the file takes longer than all else that they do
def load_task(name: str) -> type[Task]:
    """The task class of the module of a task.

    Raises:
        UserError: there is no such module, or it defines no task.
    """
    name = module_of(name)
    module = importlib.import_module(f"egopack.tasks.{name}")
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Task) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise UserError(f"src/egopack/tasks/{name}.py: expected one subclass of Task, found {len(classes)}")
    return classes[0]


@cache
def block_model(task: type[Task]) -> type[TaskBlock]:
    """What checks the whole block of a task in params.yaml; an instance is one of the task's `Params` too."""
    made = Field(default_factory=task.Decode, description=TaskBlock.model_fields["decode"].description)
    model = create_model(
        f"{task.Params.__name__.removesuffix('Params')}Block",
        __base__=(task.Params, TaskBlock),
        __doc__="One task.",
        decode=(task.Decode, made),
    )
    return cast(type[TaskBlock], model)


def check_task(name: str, block: TaskBlock | Mapping[str, Any], file: Path | str = "params.yaml") -> TaskBlock:
    """The block `tasks.<name>` of params.yaml with `samples`, `model` and `decode` checked by its task.

    Raises:
        UserError: no such task; a key is unknown, missing or has a value that it cannot take; the task cannot
            read the source.
    """
    task, parts = load_task(name), dict(block)
    if isinstance(block, TaskBlock):  # whose own parts are as they stand in the file
        parts["model"] = block.model.model_dump(exclude_unset=True)
    checked = check(block_model(task), parts, file=file, key=f"tasks.{name}")
    if checked.module not in ("", module_of(name)):
        raise UserError(
            f"{file}: tasks.{name}.module: {checked.module!r}, but by its name the task is one of {module_of(name)}; "
            f"name it {checked.module}_{name.rpartition('_')[2]}"
        )
    if checked.annotations not in task.sources:
        known = ", ".join(task.sources)
        raise UserError(f"{file}: tasks.{name}.annotations: {checked.annotations!r}, but {name} can read only {known}")
    return checked
