"""params.yaml and params.ego4d.yaml: every setting is there, and an experiment changes the line of its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml, modify_yaml

from egopack.params import load_params
from egopack.tasks.base import check_task
from tests.support.params_tree import block_at

ROOT = Path(__file__).parents[2]
FILES = ("params.yaml", "params.ego4d.yaml")
EPIC, FOOTAGE = "params.epic.yaml", "params.footage.yaml"
SCALARS: dict[str, Any] = {
    "seed": 7,
    "launcher": "torchrun --standalone --nproc-per-node=4",
    "data.root": "data/raw/elsewhere",
    "data.features.egovlp.size": 3,
    "runtime.threads": 2,
    "runtime.save_every": 1000,
    "backbone.conv.gated": False,
    "multi.lr": 0.5,
    "multi.extras.start_from": "data/imported",
    "tasks.ar.train.extras.train_on_val": True,
    "tasks.lta.egopack.grad_clip_norm": 2.0,
    "tasks.mq.decode.nms": "hard",
    "tasks.mq.decode.voting_threshold": 0.5,
    "comparison.multi_pack": "without_ar",
}


def difference(before: Path, after: Path) -> list[tuple[str, str]]:
    old, new = (path.read_bytes().decode().split("\n") for path in (before, after))
    return [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]


@pytest.fixture(params=FILES)
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A file of the repository, and a copy to change."""
    return ROOT / request.param, Path(shutil.copy(ROOT / request.param, tmp_path / "params.yaml"))


@pytest.mark.parametrize("key", SCALARS)
def test_a_value_set_as_dvc_sets_it(key: str, copied: tuple[Path, Path]) -> None:
    before, after = copied
    *parents, last = key.split(".")
    with modify_yaml(after) as tree:
        block_at(tree, tuple(parents))[last] = SCALARS[key]
    ((old, new),) = difference(before, after)
    assert old.split(":")[0] == new.split(":")[0]
    assert new.lstrip().startswith(f"{last}: ")


@pytest.mark.parametrize("key", SCALARS)
def test_an_experiment_with_one_value(key: str, copied: tuple[Path, Path]) -> None:
    before, after = copied
    value = SCALARS[key]
    apply_overrides(after, [f"{key}='{value}'" if isinstance(value, str) else f"{key}={value}"])
    ((old, new),) = difference(before, after)
    assert old.split(":")[0] == new.split(":")[0]
    *parents, last = key.split(".")
    assert block_at(load_yaml(after), tuple(parents))[last] == value


def test_an_experiment_with_a_list(copied: tuple[Path, Path]) -> None:
    before, after = copied
    apply_overrides(after, ["packs.without_ar=[oscc,lta]"])
    old, end = before.read_text(), "  without_oscc:"
    assert old.count(f"  - pnr\n  - mq\n{end}") == 1
    assert after.read_text() == old.replace(f"  - pnr\n  - mq\n{end}", end)


@pytest.mark.parametrize("name", [*FILES, EPIC])
def test_nothing_is_left_to_a_default(name: str) -> None:
    params, tree = load_params(ROOT / name), load_yaml(ROOT / name)
    blocks = tree.pop("tasks")
    assert tree == params.model_dump(mode="json", exclude={"tasks"})
    for task, block in blocks.items():
        assert {"module": ""} | block == check_task(task, block).model_dump(mode="json")  # empty: that of the name


def test_the_settings_for_footage_are_short_and_whole() -> None:
    """They leave out what has a default, but for what dvc.yaml reads itself."""
    params, tree = load_params(ROOT / FOOTAGE), load_yaml(ROOT / FOOTAGE)
    for task, block in params.tasks.items():
        check_task(task, block)
    read = re.findall(r"\$\{((?!key|item)[\w.]+)\}", (ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    assert "prototypes.task" in read
    for key in read:
        assert block_at(tree, tuple(key.split("."))), key


@pytest.mark.parametrize("name", [*FILES, EPIC, FOOTAGE])
def test_lines_are_short(name: str) -> None:
    assert max(map(len, (ROOT / name).read_text(encoding="utf-8").splitlines())) < 80
