"""One task alone: no packs, no EgoPack, and annotations of no other task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from egopack.params import load_params
from egopack.synthetic.corpus import write_corpus
from tests.pipeline.conftest import copy_of_the_project
from tests.support.reduce import reduced

pytestmark = pytest.mark.drill


def alone(params: dict[str, Any]) -> None:
    reduced(params)
    params["tasks"] = {"mq": params["tasks"]["mq"]}
    del params["tasks"]["mq"]["egopack"]
    params |= {"packs": {}, "helped_by": {}, "comparison": {"multi_pack": None}}


def test_a_task_that_no_pack_helps(tmp_path: Path) -> None:
    clone = copy_of_the_project(tmp_path / "clone")
    clone.edit(alone)
    raw = tmp_path / "raw"
    write_corpus(raw, load_params(clone.path / "params.yaml").synthetic)
    for file in (raw / "annotations" / "v1").glob("fho_*"):
        file.unlink()
    clone.environment["EGO4D_ROOT"] = str(raw)
    clone.commit()
    ran = clone.repro()
    assert {"index@mq", "train_single@mq", "evaluate_single@mq", "compare"} <= set(ran)
    assert not [stage for stage in ran if "multi" in stage or "egopack" in stage or "prototypes" in stage]
    assert set(ran) == set(clone.run("dvc", "stage", "list", "--name-only").stdout.split())
    single, multi, egopack = (
        json.loads((clone.path / f"metrics/{regime}.json").read_text()) for regime in ("single", "multi", "egopack")
    )
    assert multi.get("mq", {}) == egopack.get("mq", {}) == {}
    assert single["mq"]["map"] >= 0
    clone.commit()
    assert not [stage for stage in clone.repro() if "mq" in stage]  # nothing is stale
