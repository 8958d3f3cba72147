"""A folder with a params.yaml and a small corpus, in which the stages run as commands."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from click.testing import CliRunner, Result

from egopack.params import SyntheticParams
from egopack.synthetic.corpus import write_corpus
from tests.support.reduce import reduced

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = SyntheticParams(
    train_videos=5,
    val_videos=5,
    test_videos=1,
    mean_minutes=2.0,
    feature_size=8,
    missing_features=0,
    truncated_features=0,
    nan_features=0,
)


class Workplace:
    """The current folder of a test: `params.yaml`, `raw/` and what stages write."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.folder, self.raw = folder, folder / "raw"
        shutil.copytree(corpus, self.raw)
        params = reduced(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
        params["data"] |= {"root": "raw", "features": {SETTINGS.feature_set: {"size": SETTINGS.feature_size}}}
        self.write_params(params)

    def write_params(self, params: dict[str, Any]) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def edit_params(self, change: Callable[[dict[str, Any]], Any]) -> None:
        params = yaml.safe_load((self.folder / "params.yaml").read_text(encoding="utf-8"))
        change(params)
        self.write_params(params)

    def run(self, stage: str, *arguments: str) -> Result:
        """A stage, in this process; the test's current folder has to be this one."""
        return CliRunner().invoke(importlib.import_module(f"stages.{stage}").main, list(arguments))

    # --- the raw files
    def annotation(self, name: str) -> Path:
        return self.raw / "annotations" / "v1" / f"{name}.json"

    def edit_json(self, name: str, change: Callable[[Any], Any]) -> None:
        value = json.loads(self.annotation(name).read_text(encoding="utf-8"))
        change(value)
        self.annotation(name).write_text(json.dumps(value), encoding="utf-8")

    @property
    def features_folder(self) -> Path:
        return self.raw / "features" / SETTINGS.feature_set

    def features(self) -> list[Path]:
        return sorted(self.features_folder.iterdir())

    def matrix(self, path: Path) -> np.ndarray:
        return torch.load(path, weights_only=True).numpy()

    def save(self, path: Path, rows: np.ndarray) -> None:
        torch.save(torch.from_numpy(rows), path)


def write_small_corpus(folder: Path) -> Path:
    write_corpus(folder, SETTINGS)
    return folder
