"""The outputs of a small pipeline, in which every regime predicts as chance does, and its report."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from egopack.data.samples import write_samples
from egopack.data.splits import LABELS
from egopack.evaluation.comparison import COLUMNS, compare, write_comparison
from egopack.evaluation.predict import rounded, write_predictions
from egopack.files import write_json
from egopack.model.prototypes import save_prototypes
from egopack.params import Params, load_params
from egopack.report.build import build
from egopack.report.results import Folders, Results, read_results
from egopack.tasks.base import check_task, load_task
from tests.model.test_regimes import prototypes_of
from tests.support import small

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Pipeline:
    folders: Folders
    params: Params

    def report(self) -> str:
        blocks = {task: check_task(task, block) for task, block in self.params.tasks.items()}
        return build(self.results(), self.folders, self.params, blocks, ROOT / "params.study.yaml", "Code 123.")

    def results(self) -> Results:
        return read_results(self.folders, self.params)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    root = tmp_path_factory.mktemp("pipeline")
    folders = Folders(*(root / name for name in ("samples", "predictions", "consulted", "prototypes", "metrics")))
    params = load_params(ROOT / "params.yaml")
    multi, counts = {}, {}
    for task in params.tasks:
        samples, kind = small.samples_of(task, 6), load_task(task)
        write_samples(folders.samples / task / "val.h5", samples)
        write_json(folders.samples / task / LABELS, small.LABELS[task])
        for regime in COLUMNS:
            table = kind.chance(samples, samples, small.LABELS[task], np.random.default_rng(len(regime)))
            scores = rounded(kind.score(table, samples, small.LABELS[task]))
            if regime == "multi":
                multi[task] = scores
            else:
                write_json(folders.metrics / regime / f"{task}.json", scores)
            if regime != "chance":
                pack = "all/" if regime == "multi" else ""
                write_predictions(folders.predictions / regime / f"{pack}{task}.parquet", table)
        write_predictions(folders.consulted / f"{task}.parquet", consulted_by(task, params))
        for regime in ("single", "egopack"):
            curve(folders.metrics / "curves" / regime / f"{task}.csv", [task])
        counts[task] = {"val": {"found": {"clips": 7}, "samples": 6, "skipped": {"<b>no features</b>": 1}}}
    for pack, members in params.packs.items():
        save_prototypes(folders.prototypes / f"{pack}.safetensors", prototypes_of(*members))
    write_json(folders.metrics / "multi" / "all.json", multi)
    curve(folders.metrics / "curves" / "multi" / "all.csv", list(params.tasks))
    comparison = compare(folders.metrics, list(params.tasks), params.helped_by, "all")
    write_comparison(folders.metrics, root / "table.md", comparison)
    found = {"features": {"egovlp": {"found": 3}}, "stored": {"rows": 9, "videos": 3, "skipped": {}}}
    write_json(folders.metrics / "data.json", found | {"tasks": counts})
    return Pipeline(folders, params)


def consulted_by(task: str, params: Params) -> pd.DataFrame:
    """What a task may have consulted of the four prototypes of each task of its pack."""
    generator, members = np.random.default_rng(0), params.packs[params.helped_by[task]]
    near = {member: generator.integers(0, 4, 12) for member in members}
    videos = [f"video{index % 3}" for index in range(12)]
    return pd.DataFrame({"video_uid": videos, "second": np.arange(12.0), **near})


def curve(path: Path, tasks: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = ["epoch", "loss", *(f"{task}/term" for task in tasks), "grad_norm", "lr"]
    rows = [[epoch, 9 / epoch, *(1 / epoch for _ in tasks), 1, 0.1] for epoch in (1, 2, 3)]
    path.write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n")


@pytest.fixture
def other(pipeline: Pipeline, tmp_path: Path) -> Pipeline:
    """A copy that a test may change."""
    root = tmp_path / "pipeline"
    shutil.copytree(pipeline.folders.metrics.parent, root)
    folders = Folders(*(root / name for name in ("samples", "predictions", "consulted", "prototypes", "metrics")))
    return Pipeline(folders, pipeline.params)


def with_params(pipeline: Pipeline, folder: Path, **changes: object) -> Pipeline:
    """The same with other values of top-level params."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text()) | changes
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    return Pipeline(pipeline.folders, load_params(folder / "params.yaml"))
