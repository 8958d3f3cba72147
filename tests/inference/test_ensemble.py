"""An ensemble leaves the house in a folder, and predicts there what it did before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import egopack
from egopack.errors import UserError
from egopack.evaluation.ensemble import Ensemble, second_opinion
from egopack.inference.ensemble import EnsembleModel, save_ensemble
from egopack.model.checkpoint import load_checkpoint, save_checkpoint
from egopack.model.regimes import multi_network
from tests.support import small
from tests.support.networks import novel_network
from tests.support.released import footage, known_of


def written(folder: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> Ensemble:
    """Write an ensemble whose members have random weights to `folder`/whole, as the one that is returned."""
    monkeypatch.setattr("egopack.evaluation.probe.PENALTIES", (1e-3, 1e-1))
    monkeypatch.setattr("egopack.evaluation.probe.STEPS", 5)
    others = [name for name in ("ar", "oscc", "lta") if name != task]
    pack = multi_network(
        small.WIDTH,
        small.backbone_params(),
        {name: small.task_params(name) for name in others},
        {name: small.sizes(name) for name in others},
        levels=3,
    )
    trained = {}
    for seed, (name, network) in enumerate(
        (("single", small.network_of(task)), ("egopack", novel_network(task)), ("pack", pack))
    ):
        small.randomize(network, seed)
        known = known_of(network) if name == "single" else None
        save_checkpoint(folder / name, network, known=known)
        trained[name] = folder / name
    single, novel, helper = (load_checkpoint(trained[name]) for name in ("single", "egopack", "pack"))
    together = second_opinion(task, single, novel, helper, small.samples_of(task, 8, 0), small.Features(), 0)
    save_ensemble(folder / "whole", task, together, trained, {}, {"map": 12.5, "verb_top1": 50.0, "noun_top1": 25.0})
    return together


@pytest.mark.parametrize("task", ["ar", "mq"])
@torch.no_grad()
def test_loaded_it_predicts_the_same(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = written(tmp_path, task, monkeypatch)
    model = egopack.load(tmp_path / "whole", device="cpu")
    assert isinstance(model, EnsembleModel)
    assert model.config.name == f"ensemble/{task}"
    batch = small.batch_of(small.samples_of(task, 5, 1), levels=model.head(task).params.levels)
    found, expected = model(task, batch), together(task, batch)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value)
    alone = egopack.load(tmp_path / "single", device="cpu")
    tables = [one.predict(footage(40)) for one in (model, alone)]
    assert len(tables[0])
    assert not np.array_equal(tables[0]["score"], tables[1]["score"])


def test_the_same_ensemble_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("one", "two"):
        written(tmp_path / name, "ar", monkeypatch)
        root = tmp_path / name / "whole"
        found.append({path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()})
    assert found[0] == found[1]
    assert len(found[0]) == 3 * 3 + 2


def edited(folder: Path, **fields: object) -> None:
    path = folder / "ensemble.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def another_width(folder: Path) -> None:
    weights = load_file(folder / "necks.safetensors")
    save_file(weights | {"mean": weights["mean"][1:].clone()}, folder / "necks.safetensors")


def not_finite(folder: Path) -> None:
    weights = load_file(folder / "necks.safetensors")
    save_file(weights | {"bias": weights["bias"] * torch.nan}, folder / "necks.safetensors")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: edited(folder, task="mq"), "not a network of 'mq'"),
        (lambda folder: edited(folder, spreads={"single": {}}), "spreads: expected those of single, egopack, necks"),
        (lambda folder: edited(folder, outputs=[["verb_logits", 1, 10**15], ["noun_logits", 1, 1]]), "differ from"),
        (lambda folder: edited(folder, outputs=[]), "outputs"),
        (lambda folder: edited(folder, outputs=[["verb_logits", -1, -9]]), "outputs"),
        (lambda folder: edited(folder, outputs=[["noun_logits", 1, 5]]), "expected one of each of noun_logits"),
        (lambda folder: edited(folder, more=1), "more: unknown key"),
        (lambda folder: (folder / "ensemble.json").write_text("[" * 100_000), "nested too deeply"),
        (lambda folder: (folder / "necks.safetensors").unlink(), "not a whole ensemble"),
        (lambda folder: (folder / "necks.safetensors").write_bytes(b"\x00" * 20), "not a whole ensemble"),
        (lambda folder: (folder / "pack" / "config.json").unlink(), "pack: not a whole checkpoint"),
        (another_width, "necks.safetensors: shapes"),
        (not_finite, "necks.safetensors: 1 of 4 tensors hold NaN or Inf: bias"),
    ],
)
def test_what_is_not_whole_is_refused(
    harm: Callable[[Path], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "ar", monkeypatch)
    harm(tmp_path / "whole")
    with pytest.raises(UserError, match=message):
        egopack.load(tmp_path / "whole", device="cpu")


def test_it_is_no_single_file_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "ar", monkeypatch)
    model = egopack.load(tmp_path / "whole", device="cpu")
    with pytest.raises(UserError, match="a folder of networks"):
        model.save_pretrained(tmp_path / "hub")
