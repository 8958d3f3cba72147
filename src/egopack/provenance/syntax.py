"""A module as definitions; comments, docstrings and annotations of functions are not code that runs."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from egopack.provenance.names import FUNCTIONS, is_type_checking


class Module:
    """The top level of a Python file: `definitions` by name, `effects` that run whenever it is imported, `imports`,
    also those that run under a condition.
    """

    def __init__(self, name: str, path: Path, content: bytes) -> None:
        self.name, self.path = name, path
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.effects: list[ast.stmt] = []
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self._sort(ast.parse(content, str(path)).body)

    def _sort(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports.append(node)
            elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                self.definitions.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.If) and is_type_checking(node):
                self._sort(node.orelse)
            elif not _is_docstring(node):
                names = _assigned(node)
                for name in names:
                    self.definitions.setdefault(name, []).append(node)
                if not set(names) - {"_"}:  # what nobody can ask for is there for what it does
                    self.effects.append(node)
                    self.imports += _imports_in(node)


@cache
def module(name: str, path: Path, content: bytes) -> Module:
    """A file of this content, taken apart once."""
    return Module(name, path, content)


def _imports_in(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports of a statement that runs with its module: of a `try` or an `if`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and is_type_checking(child):
            yield from (one for part in child.orelse for one in _imports_in(ast.Module([part], [])))
        elif not isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            yield from _imports_in(child)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _assigned(node: ast.stmt) -> list[str]:
    """Names that a plain assignment gives values to; none for any other statement."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    flat = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = [target.id for target in flat if isinstance(target, ast.Name)]
    return names if len(names) == len(flat) else []


def members(node: ast.stmt) -> dict[str, list[ast.stmt]]:
    """What a class defines in its body, methods and attributes, by name; a property has several parts."""
    found: dict[str, list[ast.stmt]] = {}
    for part in node.body if isinstance(node, ast.ClassDef) else []:
        for name in member_names(part):
            found.setdefault(name, []).append(part)
    return found


def member_names(part: ast.stmt) -> list[str]:
    """The names that a statement in the body of a class defines."""
    return [part.name] if isinstance(part, (*FUNCTIONS, ast.ClassDef)) else _assigned(part)


def left_out(part: ast.stmt, without: frozenset[str]) -> bool:
    """Whether a statement in the body of a class defines nothing but these."""
    names = member_names(part)
    return bool(names) and without.issuperset(names)


def is_attribute(member: ast.stmt) -> bool:
    """Whether a member of a class is read rather than called: a value, or a property."""
    decorators = member.decorator_list if isinstance(member, FUNCTIONS) else []
    names = {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in decorators}
    return not isinstance(member, FUNCTIONS) or any(name.endswith("property") for name in names)


@cache
def digest(node: ast.AST, without: frozenset[str] = frozenset()) -> str:
    """SHA-256 of what a node does: the same for any layout, comment or docstring, and in any version of Python.

    Members of the class in `without` are left out.
    """
    parts: list[str] = []
    _canonical(node, parts, without)
    return hashlib.sha256("".join(f"{part}\0" for part in parts).encode()).hexdigest()


def _canonical(node: object, parts: list[str], without: frozenset[str] = frozenset(), local: bool = False) -> None:
    """Append what a node does; `without` are members of this very class, `local` whether a function is the innermost
    scope.
    """
    if isinstance(node, ast.AST):
        parts.append(type(node).__name__)
        inner = isinstance(node, FUNCTIONS) or (local and not isinstance(node, ast.ClassDef))
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or name in ("ctx", "kind", "type_comment", "type_params", "lineno") or value == []:
                continue
            if name in ("annotation", "returns") and (local or not isinstance(node, ast.AnnAssign)):
                continue
            parts.append(name)
            _canonical(_statements(value, without) if name == "body" else value, parts, local=inner)
    elif isinstance(node, list):
        parts.append(f"[{len(node)}")
        for part in node:
            _canonical(part, parts, local=local)
    else:
        parts.append(repr(node))


def _statements(body: object, without: frozenset[str]) -> object:
    """A body without docstrings and the members that are left out."""
    if not isinstance(body, list):
        return body
    return [part for part in body if not _is_docstring(part) and not left_out(part, without)]
