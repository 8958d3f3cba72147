"""Shrink params.yaml to a corpus and trainings of a few seconds: python -m tests.support.reduce params.yaml"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

CORPUS = {"train_videos": 8, "val_videos": 4, "test_videos": 2, "missing_features": 1, "nan_features": 1}
BRIEF = {"epochs": 1, "warmup_epochs": 0}


def reduced(params: dict[str, Any]) -> dict[str, Any]:
    """The same pipeline with a tiny corpus, a narrow network and one epoch of everything."""
    params["synthetic"] |= CORPUS
    params["backbone"] |= {"hidden": 16, "conv": {"name": "tdgc", "gate_size": 8}}
    params["interaction"] |= {"hidden": 8}
    params["multi"] |= BRIEF
    for block in params["tasks"].values():
        block["model"] |= {"features": 16, "classifier_hidden": 16}
        block["train"] |= BRIEF
        block["egopack"] |= BRIEF
        block["levels"] = min(block["levels"], 4)
    return params


def main(path: Path) -> None:
    params = reduced(yaml.safe_load(path.read_text(encoding="utf-8")))
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
