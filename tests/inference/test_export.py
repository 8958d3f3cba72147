"""Exported programs give what the network gives, at lengths that they were not made with, and stand alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import egopack
from egopack.commands.main import main
from egopack.data.batch import collate
from egopack.data.pyramid import build_pyramid
from egopack.errors import UserError
from egopack.inference import export
from egopack.inference.export import check_export, export_model
from egopack.inference.regular import regular_batch
from egopack.model.checkpoint import save_checkpoint
from egopack.nn.sums import portable
from tests.model.test_network import novel_of
from tests.support import small
from tests.support.released import footage, known_of, released

TASKS = ("ar", "oscc", "lta", "pnr", "scenario")  # mq is exported by the command, which checks its program too


@pytest.mark.parametrize("task", TASKS)
def test_a_program_gives_what_the_network_gives(task: str, tmp_path: Path) -> None:
    released(tmp_path, task)
    model = egopack.load(tmp_path, device="cpu")
    assert check_export(export_model(model, task), model, task) < 1e-5


def test_a_program_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released(tmp_path / "model", "ar")
    monkeypatch.setattr(export, "regular_batch", lambda x, *rest, **more: regular_batch(x + 0.1, *rest, **more))
    done = CliRunner().invoke(main, ["export", str(tmp_path / "model"), "--out", str(tmp_path / "ar.pt2")])
    assert done.exit_code == 1
    assert done.output.startswith("Error: ar: the program differs from the network by ")
    assert not (tmp_path / "ar.pt2").exists()


@pytest.mark.parametrize("task", ["ar", "mq"])
def test_a_model_with_prototypes_is_exported(task: str, tmp_path: Path) -> None:
    network = novel_of(task)
    save_checkpoint(tmp_path, network, known=known_of(network))
    model = egopack.load(tmp_path, device="cpu")
    assert check_export(export_model(model, task), model, task) < 1e-4


@pytest.mark.parametrize("count", [5, 6, 40, 333])
@pytest.mark.parametrize("pool", ["mean", "max", "subsample"])
def test_a_regular_batch_computes_what_one_made_on_the_host_does(count: int, pool: str) -> None:
    network = small.network_of("mq", backbone=small.backbone_params(pool=pool)).eval()
    small.randomize(network)
    pos, rows = small.GRID.positions(count), torch.from_numpy(footage(count))
    batch = regular_batch(rows, torch.from_numpy(pos), None, levels=3, radius_s=2.0, step_s=16 / 30)
    with torch.no_grad(), portable():
        found = network.backbone(rows, batch.pyramid)
    with torch.no_grad():
        expected = network.backbone(rows, build_pyramid(pos, [count], levels=3, radius_s=2.0))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


def test_segments_hold_the_same_nodes() -> None:
    (sample,) = small.samples_of("ar", 1)
    segments = torch.tensor([[0.0, 100.0], [3.2, 3.3], [0.8, 0.8], [4.0, 9.0]])
    pos = torch.from_numpy(sample.pos)
    found = regular_batch(torch.zeros(len(pos), 6), pos, segments, levels=1, radius_s=2.0, step_s=16 / 30).segment_nodes
    own = replace(sample, segments=segments.numpy())
    expected = collate([own], [np.zeros((len(pos), 6), np.float32)], levels=1, radius_s=2.0).segment_nodes
    assert found is not None
    assert expected is not None
    assert found.first.tolist() == expected.first.tolist()
    assert found.last.tolist() == expected.last.tolist()


ALONE = """
import sys, torch
program = torch.export.load(sys.argv[1]).module()
found = program(torch.ones(77, 6), (torch.arange(77) + 0.5) * 16 / 30)
assert not any(name.split(".")[0].startswith("egopack") for name in sys.modules), "it needs the package"
print(found["probability"].shape[1], found["segments"].shape[1])
"""


def test_the_command_writes_a_file_that_stands_alone(tmp_path: Path) -> None:
    released(tmp_path / "model", "mq", "pnr")
    done = CliRunner().invoke(main, ["export", str(tmp_path / "model"), "--out", str(tmp_path / "mq.pt2")])
    assert done.output == f"Error: --task: '': {tmp_path / 'model'} has mq, pnr\n"
    arguments = ["export", str(tmp_path / "model"), "--task", "mq", "--out", str(tmp_path / "mq.pt2")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{tmp_path / 'mq.pt2'}: mq, ")
    alone = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "mq.pt2")], capture_output=True, text=True, check=False
    )
    assert alone.stdout.split() == ["4", "2"], alone.stderr


@pytest.mark.parametrize("conv", [{"name": "gat"}, {"signed": False}, {"aggr": "sum"}])
def test_other_convolutions_are_refused(conv: dict[str, object], tmp_path: Path) -> None:
    released(tmp_path, "ar", backbone=small.backbone_params(conv=conv))
    with pytest.raises(UserError, match="only signed tdgc with aggr mean is exported"):
        export_model(egopack.load(tmp_path, device="cpu"), "ar")
