"""What counts as code, and what a piece of it refers to."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from egopack.provenance.names import references, takes
from egopack.provenance.syntax import Module, digest

PLAIN = """
def mean(values: list[float], weight=1.0):
    '''The mean.'''
    total = 0.0
    for value in values:
        total += value * weight  # weighted
    return total / len(values)
"""


def digest_of(text: str) -> str:
    return digest(ast.parse(text).body[0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # weighted", ""),
        ("    '''The mean.'''\n", ""),
        ("values: list[float]", "values: object"),
        ("    total = 0.0\n", "\n\n    total = 0.0  \n"),
        ("return total / len(values)", "return (\n        total / len(values)\n    )"),
    ],
)
def test_what_does_not_run_does_not_count(old: str, new: str) -> None:
    assert old in PLAIN
    assert digest_of(PLAIN.replace(old, new)) == digest_of(PLAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [("weight=1.0", "weight=2.0"), ("+=", "-="), ("value * weight", "value"), ("def mean", "@cache\ndef mean")],
)
def test_what_runs_counts(old: str, new: str) -> None:
    assert old in PLAIN
    assert digest_of(PLAIN.replace(old, new)) != digest_of(PLAIN)


def test_fields_of_a_class_count_and_members_can_be_left_out() -> None:
    text = "class A:\n    size: int = 1\n    def f(self):\n        return 1\n    def g(self):\n        return 2\n"
    assert digest_of(text.replace("size: int", "size: float")) != digest_of(text)
    node, other = ast.parse(text).body[0], ast.parse(text.replace("return 2", "return 3")).body[0]
    assert digest(node) != digest(other)
    assert digest(node, frozenset({"g"})) == digest(other, frozenset({"g"}))


def test_names_that_a_function_binds_are_its_own() -> None:
    text = """
def f(argument, *rest, key=DEFAULT):
    local = argument + OUTER
    def inner():
        return local + deeper + len(rest)
    with opened() as handle:
        for item in handle:
            local = [part for part in item if part is not key]
    return inner, (lambda x: x + FREE)
"""
    assert references(ast.parse(text).body[0]).names == {"DEFAULT", "OUTER", "deeper", "len", "opened", "FREE"}


def test_a_name_of_one_inner_function_is_not_that_of_another() -> None:
    text = """
def f():
    def a():
        step = 1
        return step
    def b():
        return step()
    return a, b
"""
    assert "step" in references(ast.parse(text).body[0]).names


def test_attributes_calls_and_local_imports() -> None:
    text = """
def f(task):
    from a.b import c as d
    task.decode(1, 2, key=3)
    task.score(*task.rows)
    return layout.SPLITS, d
"""
    found = references(ast.parse(text).body[0])
    assert found.attributes == {"layout": {"SPLITS"}}
    assert found.calls == {("decode", 3), ("score", None)}
    assert [alias.name for node in found.imports for alias in node.names] == ["c"]


@pytest.mark.parametrize(
    ("signature", "arguments", "can"),
    [
        ("self, a, b", 2, True),
        ("self, a, b", 1, False),
        ("self, a, b=1", 1, True),
        ("self, a, *, b, c=1", 2, True),
        ("self, a, *, b, c=1", 1, False),
        ("self, *a", 7, True),
        ("self", None, True),
    ],
)
def test_whether_a_method_takes_so_many(signature: str, arguments: int | None, can: bool) -> None:
    assert takes(ast.parse(f"def f({signature}): ...").body[0], arguments) is can


def test_a_module_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        '"""Doc."""\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hidden\nA, B = 1, 2\n'
        "C: int = 3\nregistry['x'] = A\nprint(B)\ndef f(): ...\nclass K: ...\n"
    )
    module = Module("m", path, path.read_bytes())
    assert set(module.definitions) == {"A", "B", "C", "f", "K"}
    assert [ast.unparse(node) for node in module.effects] == ["registry['x'] = A", "print(B)"]
    assert [ast.unparse(node) for node in module.imports] == ["from typing import TYPE_CHECKING"]
