"""The schema accepts what is read and refuses what is refused; page and schema leave out no param."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dvc.utils.serialize import load_yaml
from jsonschema import Draft7Validator
from pydantic import BaseModel

from egopack.params import Params
from egopack.params.reference import page, schema
from egopack.tasks.base import block_model, load_task
from stages.describe_params import PAGE, SCHEMA, described, main
from tests.support.params_tree import VALID, block_at, load_all, refusal

ROOT = Path(__file__).parents[2]
FILES = ("params.yaml", "params.ego4d.yaml", "params.epic.yaml")
NAMES = sorted(path.stem for path in (ROOT / "src/egopack/tasks").glob("[a-z]*.py") if path.stem != "base")
KNOWN = {name: block_model(load_task(name)) for name in NAMES}
VALIDATOR = Draft7Validator(schema(KNOWN))


def with_value(tree: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *parents, last = key.split(".")
    tree = copy.deepcopy(tree)
    block = block_at(tree, tuple(parents))
    if value is MISSING:
        del block[last]
    else:
        block[last] = value
    return tree


MISSING = object()
REFUSED: list[tuple[str, Any]] = [
    ("seed", -1),
    ("seed", 2**63),
    ("seed", True),
    ("seed", MISSING),
    ("sead", 1),
    ("launcher", " "),
    ("data.root", MISSING),
    ("data.features", {}),
    ("data.features", {"../up": {"size": 4}}),
    ("data.features", {"f": {"size": 4, "strid": 4}}),
    ("data.features.f.size", 0),
    ("data.version", "v3"),
    ("synthetic.verbs", 3),
    ("synthetic.mean_minutes", 0.2),
    ("backbone.hidden", 7),
    ("backbone.dropout", 1.0),
    ("backbone.radius_s", 0),
    ("backbone.conv.name", "transformer"),
    ("backbone.conv.gated", 2),
    ("multi.extras", {"freeze": ["head"]}),
    ("multi.extras", {"start_from": 3}),
    ("multi.lr", 0),
    ("comparison.multi_pack", "a/b"),
    ("packs", {"a/b": ["ar"]}),
    ("packs", []),
    ("packs.all", "ar"),
    ("tasks.not-a-module", {}),
    ("tasks.ar.annotations", "../fho"),
    ("tasks.ar.levels", 0),
    ("helped_by", MISSING),
    ("helped_by", {"ar": "a/b"}),
    ("helped_by", {"a-b": "all"}),
    ("tasks.ar.pack", "without_ar"),
    ("tasks.ar.learning_rate", 1),
    ("tasks.ar.samples.horizon", 4),
    ("tasks.ar.model.fusion", "both"),
    ("tasks.ar.train.batch_size", MISSING),
    ("tasks.ar.decode", {"sigma": 1}),
    ("tasks.mq.decode", {"nms": "greedy"}),
    ("tasks.mq.decode", {"voting_threshold": 0}),
    ("tasks.mq.model.prior", 1),
    ("runtime.device", "gpu"),
    ("runtime.precision", "fp16"),
]


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("name", FILES)
def test_the_files_fit_the_schema(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=params.schema.json\n")
    assert list(VALIDATOR.iter_errors(load_yaml(ROOT / name))) == []


@pytest.mark.parametrize(("key", "value"), REFUSED, ids=lambda value: "missing" if value is MISSING else str(value))
def test_the_schema_refuses_what_is_refused(key: str, value: Any, tmp_path: Path) -> None:
    assert VALIDATOR.is_valid(VALID)
    wrong = with_value(VALID, key, value)
    assert refusal(wrong, tmp_path)
    assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("runtime.device", "cuda:1"),
        ("data.features", {"v1.1": {"size": 4}}),
        ("multi.extras", {"start_from": None, "freeze": ["necks", "backbone"]}),
        ("tasks.mq.decode", {"voting_threshold": 1, "per_class": False}),
    ],
)
def test_the_schema_accepts_what_is_accepted(key: str, value: Any, tmp_path: Path) -> None:
    changed = with_value(VALID, key, value)
    load_all(changed, tmp_path)
    assert list(VALIDATOR.iter_errors(changed)) == []


def test_a_task_of_which_the_schema_knows_the_name_alone() -> None:
    block = copy.deepcopy(VALID["tasks"]["ar"]) | {"samples": {"any": 1}, "decode": {"other": [2]}}
    block["model"] |= {"new_size": 3}
    assert VALIDATOR.is_valid(with_value(VALID, "tasks.juggling", block))
    for wrong in (with_value(block, "levels", 0), with_value(block, "model.features", MISSING), block | {"x": 1}):
        assert not VALIDATOR.is_valid(with_value(VALID, "tasks.juggling", wrong))


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """A model and those inside it."""
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from models(part, seen)


def test_every_param_is_described_and_on_the_page() -> None:
    text, seen = page(KNOWN), set[type[BaseModel]]()
    roots = [Params, *KNOWN.values()]
    found = [model for root in roots for model in models(root, seen)]
    assert len(found) > 20
    for model in found:
        for key in model.model_fields:
            words = next(
                (base.model_fields[key].description for base in model.__mro__
                 if key in getattr(base, "model_fields", {}) and base.model_fields[key].description), None,
            )  # fmt: skip
            assert words, f"{model.__name__}.{key} has no description"
            row = re.escape(words.replace("<", "&lt;"))
            assert re.search(rf"^\| `{key}` \| [^\n]+ \| {row} \|$", text, re.MULTILINE)


def test_what_a_row_says() -> None:
    text = page(KNOWN)
    for row in (
        "| `hidden` | integer ≥ 2, ≤ 16,384, multiple of 2 | required | width H of nodes |",
        "| `two_clips` | number ≥ 0, < 1 | `0.1` | share of videos that are longer and have two clips |",
        "| `version` | `v1`, `v2` | `v1` | version of Ego4D's annotations |",
    ):
        assert row in text
    assert "## `tasks.<name>.train`, `tasks.<name>.egopack`\n" in text


def test_the_committed_ones_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, ["--check"])
    assert (done.exit_code, done.output) == (0, "")


def test_out_of_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PAGE.parent.mkdir(parents=True)
    done = CliRunner().invoke(main, ["--check"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: out of date: src/egopack/params/README.md, params.schema.json; run ")
    assert done.output.count("\n") == 1
    assert not PAGE.exists()
    assert CliRunner().invoke(main).output == f"{PAGE}: written\n{SCHEMA}: written\n"
    assert CliRunner().invoke(main, ["--check"]).exit_code == 0
    SCHEMA.write_text("{}\n")
    assert CliRunner().invoke(main, ["--check"]).output.startswith("Error: out of date: params.schema.json; run ")


def test_the_schema_is_written_as_it_is() -> None:
    assert json.loads(described()[SCHEMA]) == VALIDATOR.schema
