"""The block of a task, and the comparison of regimes."""

from __future__ import annotations

from typing import Any

from egopack.params.checks import Count, Strict
from egopack.params.model import ModelParams
from egopack.params.training import TrainParams


class NoParams(Strict):
    """A block with nothing to set."""


class TaskParams(Strict):
    """What rebuilds a task's samples and network; a task narrows `samples` and `model` to its own.

    `annotations`: the source of its samples (fho_lta, fho_oscc-pnr, moments). `levels`: how many levels of the
    pyramid it reads.
    """

    annotations: str
    levels: Count
    samples: Any
    model: ModelParams


class RegimeParams(Strict):
    """How a task is trained alone and helped by the pack of that name."""

    pack: str
    train: TrainParams
    egopack: TrainParams


class ComparisonParams(Strict):
    """The pack whose multi-task training stands in the comparison."""

    multi_pack: str
