from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml

from egopack.errors import UserError
from egopack.params import load_params
from egopack.params.load import read_yaml
from egopack.tasks.base import check_task
from tests.support.params_tree import VALID, Tree, changed, load_all, refusal

REPOSITORY = Path(__file__).parents[2]


def test_the_smallest_valid_file(tmp_path: Path) -> None:
    params = load_all(VALID, tmp_path)
    assert (params.backbone.conv.gate_size, params.backbone.radius_s, params.interaction.k) == (4, 2.0, 4)


@pytest.mark.parametrize(
    "path", sorted({*REPOSITORY.glob("params*.yaml")} - {REPOSITORY / "params.study.yaml"}), ids=lambda path: path.name
)
def test_files_of_the_repository(path: Path) -> None:
    params = load_params(path)
    for name, block in params.tasks.items():
        check_task(name, block, path)
    assert list(params.helped_by) == list(params.tasks)
    assert params.comparison.multi_pack in params.packs
    assert params.synthetic.feature_set in params.data.features or path.name != "params.yaml"


ALONE = "without this line ar is trained alone, and in packs"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("packs.all", ["ar", "xy"], "packs.all: 'xy' is not one of the tasks ar, mq"),
        ("packs.all", ["ar", "ar"], "packs.all: ['ar', 'ar'] must name each of its tasks once"),
        ("packs.all", [], "packs.all: [] must name each of its tasks once"),
        ("helped_by.ar", "nope", f"helped_by.ar: 'nope' is not one of the packs all, without_ar, without_mq; {ALONE}"),
        (
            "helped_by.ar",
            "all",
            f"helped_by.ar: the pack 'all' contains 'ar' itself, so it is not novel to it; {ALONE}",
        ),
        ("tasks.ar.egopack", None, "tasks.ar.egopack: this key is missing, and helped_by.ar needs it"),
        ("tasks.ar.pack", "all", "tasks.ar.pack: this is helped_by.ar now; write it there, and take it out here"),
    ],
)
def test_packs(key: str, value: Any, message: str, tmp_path: Path) -> None:
    assert refusal(changed(key, value), tmp_path) == message


def test_a_pack_that_is_a_list(tmp_path: Path) -> None:
    assert refusal(changed("helped_by.ar", ["without_ar"]), tmp_path).startswith("helped_by.ar: ")


def test_one_task_alone(tmp_path: Path) -> None:
    """Neither packs nor prototypes nor what is helped; every message on the way there says what to do next."""
    tree = copy.deepcopy(VALID)
    del tree["tasks"]["ar"]
    assert refusal(tree, tmp_path) == "packs.all: 'ar' is not one of the tasks mq"
    tree["packs"] = {}
    assert refusal(tree, tmp_path).startswith("helped_by.ar: 'ar' is not one of the tasks mq; take the line out")
    del tree["helped_by"]["ar"]
    message = refusal(tree, tmp_path)
    assert message.startswith(
        "helped_by.mq: 'without_mq' is not one of the packs (there are none); without this line mq"
    )
    tree["helped_by"] = {}
    assert (
        refusal(tree, tmp_path)
        == "comparison.multi_pack: 'all' is not one of the packs (there are none); leave it empty"
    )
    tree["comparison"] = {"multi_pack": None}
    del tree["tasks"]["mq"]["egopack"]
    params = load_all(tree, tmp_path)
    assert (params.helped_by, params.packs, params.tasks["mq"].egopack) == ({}, {}, None)


def test_the_compared_pack_must_exist(tmp_path: Path) -> None:
    assert refusal(changed("comparison.multi_pack", "al"), tmp_path).startswith("comparison.multi_pack: 'al'")


def test_the_task_of_the_prototypes_must_exist(tmp_path: Path) -> None:
    message = refusal(changed("prototypes", {"task": "lta"}), tmp_path)
    assert message == "prototypes.task: 'lta' is not one of the tasks ar, mq"
    tree = copy.deepcopy(VALID)
    tree["tasks"] = {"lta": tree["tasks"]["ar"], "mq": tree["tasks"]["mq"]}
    tree["packs"] = {"all": ["lta", "mq"], "without_ar": ["mq"], "without_mq": ["lta"]}
    tree["helped_by"] = {"lta": "without_ar", "mq": "without_mq"}
    assert refusal(tree, tmp_path) == "prototypes.task: 'ar' is not one of the tasks lta, mq"


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


# --- YAML as others read it ------------------------------------------------------------------------------------------

MERGES = {
    "anchor": "a: &one {x: 1}\nb: *one\n",
    "merge": "a: &one {x: 1, y: 1}\nb: {<<: *one, z: 2}\n",
    "own key wins": "a: &one {x: 1, y: 1}\nb: {<<: *one, x: 2}\n",
    "own key wins, written first": "a: &one {x: 1, y: 1}\nb: {x: 2, <<: *one}\n",
    "in place": "a: {<<: {x: 1, y: 1}, x: 2}\n",
    "list, first wins": "a: &one {x: 1, y: 1}\nb: &two {x: 2, z: 2}\nc: {<<: [*one, *two], w: 3}\n",
    "merged twice over": "a: &one {x: 1, y: 1}\nb: &two {<<: *one, x: 2}\nc: {<<: *two, y: 3}\n",
    "merged one merges": "a: &one {x: 1}\nb: &two {x: 2}\nc: &three {<<: [*one, *two]}\nd: {<<: [*three, *two]}\n",
    "one anchor, several places": "a: &one {x: {y: 1}}\nb: {<<: *one}\nc: {<<: *one}\nd: *one\n",
    "merged before it is read": "a: {b: &one {<<: {x: 1}, x: 2}, c: {<<: *one, x: 3}}\n",
    "quoted, no merge": '"<<": 1\na: {"<<": 2}\n',
    "equals sign": "a: {=: 1}\n",
    "key is an anchor": "? &key a\n: 1\nb: {*key : 2}\n",
}


def test_there_is_a_case_for_every_kind_of_merge() -> None:
    assert any(yaml.safe_load(text) != yaml.safe_load(text.replace("<<", "k")) for text in MERGES.values())


@pytest.mark.parametrize("text", MERGES.values(), ids=MERGES)
def test_anchors_and_merges_as_pyyaml_and_dvc_read_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    value = read_yaml(path)
    assert value == yaml.safe_load(text)
    assert value == load_yaml(str(path))


REPEATS = {
    "a: 1\nb: 2\na: 3\n": "a: this key stands twice",
    "a: 1\na: 2\na: 3\n": "a: this key stands twice",
    "a: {x: 1, y: 2, x: 1}\n": "x: this key stands twice",
    'a: {x: 1, "x": 1}\n': "x: this key stands twice",
    "a: &one {x: 1}\nb: {<<: *one, x: 2, x: 3}\n": "x: this key stands twice",
    "a: &one {x: 1, x: 2}\nb: {<<: *one}\n": "x: this key stands twice",
    "a: [{x: 1, x: 2}]\n": "x: this key stands twice",
    "a: &one {x: 1}\nb: &two {y: 1}\nc: {<<: *one, <<: *two}\n": "<<: this key stands twice; merge several mappings as",
    "1: a\n0x1: b\n": "0x1: this key stands twice",
}


@pytest.mark.parametrize("text", REPEATS)
def test_a_key_twice_in_one_mapping(text: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path}: not valid YAML: {REPEATS[text]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {? [1, 2] : 3}\n", "a key is a list; keys are plain words"),
        ("? {b: 1}\n: 3\n", "a key is a mapping; keys are plain words"),
        ("a: {{{ name }}: 1}\n", "a key is a mapping; keys are plain words"),
        ("a: &one [1]\nb: {*one : 2}\n", "a key is a list; keys are plain words"),
        ("seed: 2026-13-45\n", "month must be in 1..12"),
        ("a: {<<: 3}\n", "while constructing a mapping"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    ],
)
def test_yaml_that_no_params_can_be(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path}: not valid YAML: {message}")
    assert "\n" not in str(caught.value)


def test_dvc_refuses_two_merge_keys_as_well(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(next(text for text in REPEATS if text.count("<<") == 2))
    with pytest.raises(YAMLFileCorruptedError):
        load_yaml(str(path))


def test_params_with_merges(tmp_path: Path) -> None:
    text = yaml.safe_dump(VALID, default_flow_style=None)
    brief = "{batch_size: 4, epochs: 2, lr: 0.01, warmup_epochs: 1}"
    assert text.count(f"egopack: {brief}") == text.count(f"train: {brief}") == 2
    text = text.replace(f"egopack: {brief}", f"egopack: &brief {brief}", 1)
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(f"train: {brief}", "train: {<<: *brief, lr: 0.5}"))
    params = load_params(path)
    assert [block.egopack.lr for block in params.tasks.values()] == [0.01, 0.01]
    written = VALID["tasks"]["ar"]["train"] | {"lr": 0.5}
    assert [block.train.model_dump(exclude_unset=True) for block in params.tasks.values()] == [written] * 2


# --- names -----------------------------------------------------------------------------------------------------------

BAD_NAMES = ["", "../up", "a/b", "a b", "a.b", "-a", "_a", "ä", "a\n", "$(x)", "${x}", "a" * 65]


def with_name(kind: str, name: Any) -> tuple[str, Tree]:
    """The key that a complaint names, and params in which something of this kind has the name."""
    tree = copy.deepcopy(VALID)
    if kind == "pack":
        tree["packs"][name] = ["ar"]
        return "packs", tree
    if kind == "task":
        tree["tasks"][name] = copy.deepcopy(VALID["tasks"]["ar"])
        return "tasks", tree
    tree["tasks"]["ar"]["annotations"] = name
    return "tasks.ar.annotations", tree


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["pack", "task", "source"])
def test_a_name_that_is_none(kind: str, name: str, tmp_path: Path) -> None:
    key, tree = with_name(kind, name)
    message = refusal(tree, tmp_path)
    assert message.startswith(f"{key}: not ")
    assert message.endswith(f"(got {name!r})")


@pytest.mark.parametrize("name", ["1st", "with-dash"])
def test_a_task_is_a_module(name: str, tmp_path: Path) -> None:
    message = refusal(with_name("task", name)[1], tmp_path)
    assert message.startswith("tasks: not the name of a task, which is that of its module too")
    assert message.endswith(f"(got {name!r})")


@pytest.mark.parametrize("name", ["a", "1st", "with-dash", "under_score", "A" * 64])
@pytest.mark.parametrize("kind", ["pack", "source"])
def test_names(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(with_name(kind, name)[1]))
    load_params(path)


def test_a_name_that_is_a_number(tmp_path: Path) -> None:
    for kind in ("pack", "task", "source"):
        key, tree = with_name(kind, 7)
        assert refusal(tree, tmp_path).startswith(f"{key}: ")
