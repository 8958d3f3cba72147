"""What the report reads: of every task its validation samples and what each regime predicted for them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egopack.data.grid import Grid
from egopack.data.samples import Sample
from egopack.data.splits import read_labels, read_split
from egopack.evaluation.comparison import read_comparison
from egopack.evaluation.predict import read_predictions
from egopack.files import read_json
from egopack.labels import Labels
from egopack.tasks.base import load_task, module_of

if TYPE_CHECKING:
    import pandas as pd

    from egopack.params import Params

REGIMES = ("single", "multi", "egopack")


@dataclass(frozen=True)
class Folders:
    """Where the report finds what it shows."""

    samples: Path
    predictions: Path
    consulted: Path
    prototypes: Path
    metrics: Path


@dataclass(frozen=True)
class TaskResults:
    """One task: its validation samples, the classes of its label sets, and the predictions of each regime that has
    any, in the samples' order.
    """

    name: str
    samples: list[Sample]
    labels: Labels
    predictions: dict[str, pd.DataFrame]
    headline: dict[str, str]

    @property
    def module(self) -> str:
        """The file in tasks/ that the task is of."""
        return module_of(self.name)

    @property
    def title(self) -> str:
        """How texts call the task."""
        return title_of(self.name)


@dataclass(frozen=True)
class Results:
    """All that the report shows. `grid` tells where the rows of samples lie in their videos."""

    tasks: dict[str, TaskResults]
    comparison: Mapping[str, Mapping[str, float | None]]
    curves: dict[str, dict[str, list[dict[str, str]]]]  # task -> regime -> rows of its file
    counts: Mapping[str, Any]
    grid: Grid
    multi_pack: str | None
    packs: dict[str, str]  # task -> the pack that helps it


def read_results(folders: Folders, params: Params) -> Results:
    """Read everything; UserError where a stage has not run."""
    tasks = list(params.tasks)
    first = next(iter(params.data.features.values()))
    return Results(
        {task: _read_task(task, folders, params) for task in tasks},
        read_comparison(folders.metrics, tasks),
        {task: _read_curves(task, folders.metrics / "curves", params) for task in tasks},
        read_json(folders.metrics / "data.json"),
        Grid(first.stride, first.fps),
        params.comparison.multi_pack,
        dict(params.helped_by),
    )


def _regimes(task: str, params: Params) -> dict[str, str]:
    """The regimes in which a task is trained, each with the folder of its results below that of the regime."""
    pack = params.comparison.multi_pack
    found = {"single": ""}
    if pack is not None and task in params.packs[pack]:
        found["multi"] = pack
    if task in params.helped_by:
        found["egopack"] = ""
    return found


def _read_task(task: str, folders: Folders, params: Params) -> TaskResults:
    files = {
        regime: folders.predictions / regime / folder / f"{task}.parquet"
        for regime, folder in _regimes(task, params).items()
    }
    return TaskResults(
        task,
        read_split(folders.samples / task, "val"),
        read_labels(folders.samples / task),
        {regime: read_predictions(path) for regime, path in files.items()},
        dict(load_task(task).headline),
    )


def _read_curves(task: str, folder: Path, params: Params) -> dict[str, list[dict[str, str]]]:
    files = {regime: folder / regime / f"{pack or task}.csv" for regime, pack in _regimes(task, params).items()}
    found = {}
    for regime, path in files.items():
        with path.open(encoding="utf-8", newline="") as file:
            found[regime] = list(csv.DictReader(file))
    return found


def title_of(task: str) -> str:
    """How texts call a task."""
    return task.upper() if len(task) <= 4 else task


def seconds_in_video(sample: Sample, grid: Grid) -> float:
    """Where the time 0 of a sample lies in its video."""
    return float(sample.rows[0]) * grid.stride / grid.fps


def short(name: str) -> str:
    """A class's name without quotes and what it may also be called: "take_(pick,_grasp)" is "take"."""
    return name.strip('"').partition("_(")[0].replace("_", " ")
