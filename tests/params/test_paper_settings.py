"""params.ego4d.yaml holds the paper's settings, and what they describe can be built and trained."""

from __future__ import annotations

import re
import time
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from egopack.data.samples import Sample
from egopack.model.regimes import single_network
from egopack.params import TaskBlock, load_params
from egopack.tasks.base import check_task
from egopack.tasks.pnr import frame_labels
from egopack.training.loaders import train_loader
from egopack.training.loop import train
from tests.pipeline.conftest import ROOT, copy_of_the_project
from tests.support import small

FILE = ROOT / "params.ego4d.yaml"
TREE = yaml.safe_load(FILE.read_text(encoding="utf-8"))
PARAMS = load_params(FILE)
TASKS = ("ar", "oscc", "lta", "pnr", "mq")

# section 7 of the method: "H = F = 768; radius 2.0 s; dropout 0.1 in blocks; L = 8 for MQ and multi-task, else 1; ..."
COMMON = {"model.features": 768, "levels": 1, "train.epochs": 15, "train.warmup_epochs": 5, "train.lr_min": 1e-8}
COMMON |= {f"egopack.{key.split('.')[1]}": value for key, value in COMMON.items() if key.startswith("train.")}
BY_TASK: dict[str, dict[str, Any]] = {
    "ar": {"batch_size": (4, 4), "lr": (1e-4, 1e-4), "weight_decay": (1e-5, 1e-5)},
    "oscc": {"batch_size": (4, 4), "lr": (1e-5, 5e-5), "weight_decay": (1e-5, 1e-5)},
    "lta": {"batch_size": (64, 64), "lr": (1e-4, 1e-4), "weight_decay": (1e-5, 1e-5)},
    "pnr": {"batch_size": (128, 128), "lr": (1e-5, 1e-5), "weight_decay": (1e-5, 1e-5)},
    "mq": {"batch_size": (4, 4), "lr": (1e-4, 1e-4), "weight_decay": (1e-3, 1e-3)},
}
SHARED: dict[str, Any] = {
    "data.version": "v1",
    "data.features": {"egovlp": {"stride": 16, "window": 16, "fps": 30, "array": "feats", "size": 256}},
    "backbone.hidden": 768,
    "backbone.radius_s": 2.0,
    "backbone.convs_per_level": 2,
    "backbone.dropout": 0.1,
    "backbone.pool": "mean",
    "backbone.conv.name": "tdgc",
    "backbone.conv.gate_size": 256,
    "multi.levels": 8,
    "multi.base_batch": 4,
    "multi.epochs": 15,
    "multi.warmup_epochs": 5,
    "multi.lr": 1e-4,
    "multi.lr_min": 1e-8,
    "multi.weight_decay": 1e-5,
    "interaction.k": 8,
    "interaction.distance": "cosine",
    "interaction.conv": "sage",
    "interaction.hidden": 256,
    "interaction.rounds": 1,
    "interaction.convs_per_round": 2,
    "tasks.lta.samples.horizon": 20,
    "tasks.lta.model.radius": 2.5,
    "tasks.lta.model.gate_size": 256,
    "tasks.lta.model.prior": 0.01,
    "tasks.lta.decode.candidates": 5,
    "tasks.pnr.samples": {"shortest_s": 5.0, "longest_s": 8.0},
    "tasks.mq.decode.nms": "gaussian",
    "tasks.mq.decode.sigma": 2.0,
    "tasks.mq.decode.min_probability": 0.001,
    "tasks.mq.decode.min_score": 0.001,
    "tasks.mq.decode.top_per_level": 5000,
    "tasks.mq.decode.min_duration_s": 0.05,
    "tasks.mq.decode.max_segments": 2000,
}  # fmt: skip
PAPER = SHARED | {f"tasks.{task}.{key}": value for task in TASKS for key, value in COMMON.items()}
PAPER |= {
    f"tasks.{task}.{regime}.{key}": pair[k]
    for task, settings in BY_TASK.items()
    for key, pair in settings.items()
    for k, regime in enumerate(("train", "egopack"))
}
PAPER |= {f"tasks.{task}.model.classifier_hidden": 512 for task in TASKS} | {"tasks.mq.levels": 8}
PAPER |= {f"packs.without_{task}": [other for other in TASKS if other != task] for task in TASKS}
PAPER |= {f"helped_by.{task}": f"without_{task}" for task in TASKS} | {"packs.all": list(TASKS)}

CLASSES = {"verbs": 115, "nouns": 478, "changes": 2, "moments": 110}  # of v1
ROWS = {"ar": 593, "oscc": 593, "lta": 30, "pnr": 16, "mq": 900}  # of the longest clips; LTA: two actions of 8 s
SEGMENTS = 60


def block(task: str) -> TaskBlock:
    return check_task(task, PARAMS.tasks[task], FILE)


@pytest.mark.parametrize("key", PAPER)
def test_value_of_the_paper(key: str) -> None:
    assert reduce(lambda tree, part: tree[part], key.split("."), TREE) == PAPER[key]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_accepts_its_block(task: str) -> None:
    assert block(task).egopack is not None


def test_it_differs_from_the_quickstart_in_values_alone() -> None:
    quick = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert quick.keys() == TREE.keys()
    assert quick["tasks"].keys() == TREE["tasks"].keys()
    assert quick["packs"] == TREE["packs"]
    for task in TASKS:
        assert quick["tasks"][task].keys() == TREE["tasks"][task].keys()


def test_every_stage_is_planned(tmp_path: Path) -> None:
    clone = copy_of_the_project(tmp_path / "clone")
    (clone.path / "params.yaml").write_bytes(FILE.read_bytes())
    clone.commit()
    planned = clone.dvc("repro", "--dry", "--force")
    listed = clone.run("dvc", "stage", "list", "--name-only").stdout.split()
    assert sorted(planned) == sorted(listed)
    assert {f"train_egopack@{task}" for task in TASKS} <= set(planned)


def sample(task: str, index: int, generator: np.random.Generator) -> Sample:
    """A sample as long as the longest of Ego4D."""
    rows = ROWS[task]
    end_s = rows * small.GRID.stride / small.GRID.fps
    start = generator.uniform(0, 0.9 * end_s, SEGMENTS)
    segments = np.stack([start, start + generator.uniform(0.5, 8, SEGMENTS)], axis=1).astype(np.float32)
    first = 1000 * index
    targets: dict[str, dict[str, np.ndarray]] = {
        "ar": classes(generator, SEGMENTS),
        "lta": classes(generator, 20),
        "oscc": {"changes": generator.integers(0, 2, SEGMENTS)},
        "pnr": {"frame_labels": frame_labels(first, first + 240, first + 100)},
        "mq": {"segments": segments, "classes": generator.integers(0, CLASSES["moments"], SEGMENTS)},
    }
    more: dict[str, dict[str, Any]] = {
        "ar": {"segments": segments},
        "oscc": {"segments": segments},
        "pnr": {
            "metadata": {"window": np.array([first, first + 240]), "pnr": np.array([first + 100])}
            | {"available": np.array([10**6]), "stride": np.array([small.GRID.stride])}
            | {"fps": np.array([small.GRID.fps])}
        },
    }
    pos = small.GRID.positions(rows, 0.0 if task == "pnr" else 0.5)
    return Sample(f"clip{index}#{index}", f"video{index}", np.arange(rows), pos, targets[task], **more.get(task, {}))


def classes(generator: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    return {part: generator.integers(0, CLASSES[part], count) for part in ("verbs", "nouns")}


class Random:
    """Features of the published width."""

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray:
        return np.random.default_rng(list(uid.encode())).standard_normal((len(rows), 256), dtype=np.float32)


def peak_megabytes() -> int:
    """The most memory that this process had since `forget_peak`."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) // 1024  # type: ignore[union-attr]


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("task", TASKS)
def test_two_steps_at_full_width(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    one, generator = block(task), np.random.default_rng(0)
    labels = {"ar": ("verbs", "nouns"), "lta": ("verbs", "nouns"), "oscc": ("changes",), "pnr": (), "mq": ("moments",)}
    torch.manual_seed(0)
    network = single_network(256, PARAMS.backbone, task, one, {name: CLASSES[name] for name in labels[task]})
    settings = one.train
    samples = [sample(task, index, generator) for index in range(2 * settings.batch_size)]
    loader = train_loader(
        task, one, samples, Random(), batch_size=settings.batch_size, radius_s=PARAMS.backbone.radius_s, seed=0
    )
    assert len(loader) == 2
    before = [parameter.detach().clone() for parameter in network.parameters()]
    reports: list[Any] = []
    forget_peak()
    began = time.perf_counter()
    brief = settings.model_copy(update={"epochs": 1, "warmup_epochs": 0})
    train(network, {task: loader}, brief, device=torch.device("cpu"), on_epoch=reports.append)
    seconds = (time.perf_counter() - began) / 2
    assert np.isfinite(sum(reports[0].losses.values()))
    assert 0 < reports[0].grad_norm < np.inf
    changed = [not torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True)]
    assert np.mean(changed) > 0.9
    count = sum(parameter.numel() for parameter in network.parameters())
    with capsys.disabled():
        print(
            f"\n{task}: {settings.batch_size} clips of {ROWS[task]} rows, {count / 1e6:.1f} M parameters, "
            f"{seconds:.2f} s a step on {torch.get_num_threads()} threads, peak {peak_megabytes():,} MB"
        )
