from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from egopack.errors import UserError
from egopack.params import load_params
from egopack.tasks.base import check_task
from tests.support.params_tree import VALID, changed, load_all, refusal

REPOSITORY = Path(__file__).parents[2]


def test_the_smallest_valid_file(tmp_path: Path) -> None:
    params = load_all(VALID, tmp_path)
    assert (params.backbone.conv.gate_size, params.backbone.radius_s, params.interaction.k) == (4, 2.0, 4)


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("params*.yaml")), ids=lambda path: path.name)
def test_files_of_the_repository(path: Path) -> None:
    params = load_params(path)
    for name, block in params.tasks.items():
        checked = check_task(name, block, path)
        assert checked.regimes.pack in params.packs
    assert params.comparison.multi_pack in params.packs
    assert params.synthetic.feature_set in params.data.features or path.name != "params.yaml"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("packs.all", ["ar", "xy"], "packs.all: 'xy' is not one of the tasks ar, mq"),
        ("packs.all", ["ar", "ar"], "packs.all: ['ar', 'ar'] must name each of its tasks once"),
        ("packs.all", [], "packs.all: [] must name each of its tasks once"),
        ("tasks.ar.pack", "nope", "tasks.ar.pack: 'nope' is not one of the packs all, without_ar, without_mq"),
        ("tasks.ar.pack", "all", "tasks.ar.pack: the pack 'all' contains 'ar' itself, so it is not novel to it"),
    ],
)
def test_packs(key: str, value: Any, message: str, tmp_path: Path) -> None:
    assert refusal(changed(key, value), tmp_path) == message


def test_a_pack_that_is_a_list(tmp_path: Path) -> None:
    assert refusal(changed("tasks.ar.pack", ["without_ar"]), tmp_path).startswith("tasks.ar.pack: ")


def test_the_compared_pack_must_exist(tmp_path: Path) -> None:
    assert refusal(changed("comparison.multi_pack", "al"), tmp_path).startswith("comparison.multi_pack: 'al'")


def test_a_task_without_a_file(tmp_path: Path) -> None:
    tree = changed("tasks.juggling", copy.deepcopy(VALID["tasks"]["ar"]))
    with pytest.raises(
        UserError, match=r"tasks\.juggling: there is no src/egopack/tasks/juggling\.py \(there are ar, "
    ):
        load_all(tree, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"a: 1\n\tb: 2", "not valid YAML"),
        (b"- 1\n- 2\n", "expected a mapping of keys at the top level, got list"),
        (b"", "expected a mapping of keys at the top level, got NoneType"),
    ],
)
def test_files_that_are_no_params(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_params(tmp_path / "nowhere.yaml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_params(tmp_path)
