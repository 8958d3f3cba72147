"""A released model is the trained one, with what evaluation knows; its bytes follow from its inputs alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import egopack
from egopack.inference.release import about_data, release
from egopack.model.config import ModelConfig
from egopack.params import DataParams
from tests.support.released import footage, released
from tests.support.workplace import ROOT

NOTE = {
    "code": {"egopack.nn.losses": "1"},
    "compiled": {"nms.cpp": "2"},
    "params": {"seed": 0, "tasks.mq.train": {"lr": 1e-3}},
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    released(tmp_path / "trained", "ar", "mq")
    (tmp_path / "note.json").write_text(json.dumps(NOTE))
    (tmp_path / "moments.json").write_text('{"files": {}}')
    return tmp_path


def made(place: Path, name: str = "out", **changes: Any) -> ModelConfig:
    settings = {
        "decode": {"ar": {}, "mq": {"max_segments": 3}, "other": {}},
        "scores": {"ar": {"verb_top1": 10.0, "noun_top1": 20.0}, "mq": {"map": 21.5}},
        "note": place / "note.json",
        "data": [place / "moments.json"],
        "params": {"data.version": "v1"},
    }
    return release(place / "trained", place / name, **(settings | changes))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_is_the_trained_model_with_what_evaluation_knows(place: Path) -> None:
    config = made(place)
    assert config.params == NOTE["params"] | {"data.version": "v1"}
    assert config.scores["mq"] == {"map": 21.5}
    assert set(config.decode) == {"ar", "mq"}
    assert contents(place / "out")["model.safetensors"] == contents(place / "trained")["model.safetensors"]
    model = egopack.load(place / "out", device="cpu")
    assert model.config == config
    table = model.predict(footage(60))
    assert len(table[table["task"] == "mq"]) == 3
    card = (place / "out" / "README.md").read_text()
    assert "| MQ map ↑ | 21.5 |" in card
    assert "annotations v1" in card
    assert config.digests["code"] in card


def test_the_same_input_gives_the_same_bytes(place: Path) -> None:
    made(place)
    made(place, "again")
    assert contents(place / "out") == contents(place / "again")


def test_digests_follow_code_and_data(place: Path) -> None:
    before = made(place).digests
    (place / "moments.json").write_text('{"files": {"a": 1}}')
    data = made(place).digests
    assert data["code"] == before["code"]
    assert data["data"] != before["data"]
    (place / "note.json").write_text(json.dumps(NOTE | {"code": {"egopack.nn.losses": "3"}}))
    code = made(place).digests
    assert code["data"] == data["data"]
    assert code["code"] != data["code"]


def test_what_is_said_of_the_raw_data() -> None:
    table = DataParams.model_validate({"source": "table", "root": ".", "features": {"own": {"size": 4}}})
    assert about_data(table, ["own"]) == {"data.source": "table", "data.rendered": ["own"]}
    assert about_data(table.model_copy(update={"source": "ego4d"}), []) == {"data.version": "v1"}


def test_artifacts_name_released_models() -> None:
    """Each is of a task or pack that params.yaml has, so that DVC's registry finds it."""
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["artifacts"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert {"egopack-mq", "single-mq", "multi-all"} <= set(described)
    for name, one in described.items():
        regime, _, key = name.partition("-")
        assert one["path"] == f"data/release/{regime}/{key}"
        assert one["type"] == "model"
        assert key in (params["packs"] if regime == "multi" else params["tasks"])
