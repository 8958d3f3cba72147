"""A module as definitions, and what each of them refers to; comments, docstrings and annotations of functions are not
code that runs.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.Lambda)


@dataclass
class References:
    """Names of the module that a piece of code uses, attributes that it asks of names (`layout.SPLITS`), methods that
    it calls on anything, each with the number of arguments (None: any), attributes that it reads of anything, and
    imports inside of functions.
    """

    names: set[str] = field(default_factory=set)
    attributes: dict[str, set[str]] = field(default_factory=dict)
    calls: set[tuple[str, int | None]] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    imports: list[ast.Import | ast.ImportFrom] = field(default_factory=list)
    bases: set[str] = field(default_factory=set)


class Module:
    """The top level of a Python file: `definitions` by name, `effects` that run whenever it is imported, `imports`."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.effects: list[ast.stmt] = []
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self._sort(ast.parse(path.read_bytes(), str(path)).body)

    def _sort(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports.append(node)
            elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                self.definitions.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.If) and _is_type_checking(node.test):
                self._sort(node.orelse)
            elif not _is_docstring(node):
                names = _assigned(node)
                for name in names:
                    self.definitions.setdefault(name, []).append(node)
                if not names:
                    self.effects.append(node)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _assigned(node: ast.stmt) -> list[str]:
    """Names that a plain assignment gives values to; none for any other statement."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    flat = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = [target.id for target in flat if isinstance(target, ast.Name)]
    return names if len(names) == len(flat) else []


def members(node: ast.stmt) -> dict[str, ast.stmt]:
    """What a class defines in its body, methods and attributes, by name."""
    body = node.body if isinstance(node, ast.ClassDef) else []
    return {name: part for part in body for name in member_names(part)}


def member_names(part: ast.stmt) -> list[str]:
    """The names that a statement in the body of a class defines."""
    return [part.name] if isinstance(part, FUNCTIONS) else _assigned(part)


def references(node: ast.AST) -> References:
    """What a statement uses of its module; names that it binds itself in a function are its own."""
    found = References()
    _visit(node, frozenset(), found)
    return found


def _visit(node: ast.AST, bound: frozenset[str], found: References) -> None:
    if isinstance(node, ast.Import | ast.ImportFrom):
        found.imports.append(node)
        return
    if isinstance(node, ast.If) and _is_type_checking(node.test):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        found.calls.add((node.func.attr, _arguments(node)))
    if isinstance(node, ast.Attribute):
        found.loads.add(node.attr)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id not in bound:
        found.attributes.setdefault(node.value.id, set()).add(node.attr)
        return
    if isinstance(node, ast.Name) and node.id not in bound:
        found.names.add(node.id)
    if isinstance(node, ast.ClassDef):
        for base in node.bases:
            found.bases |= {part.id for part in ast.walk(base) if isinstance(part, ast.Name)}
    if isinstance(node, SCOPES):
        bound = bound | _own_names(node)
    for child in _run_children(node):
        _visit(child, bound, found)


def _arguments(call: ast.Call) -> int | None:
    """How many arguments a call passes; None where that is not written in it."""
    starred = any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords)
    return None if starred else len(call.args) + len(call.keywords)


def takes(function: ast.stmt, arguments: int | None) -> bool:
    """Whether a method can be called on an object with so many arguments."""
    if not isinstance(function, FUNCTIONS):
        return False
    own = function.args
    most = len(own.posonlyargs) + len(own.args) - 1 + len(own.kwonlyargs)
    least = most - len(own.defaults) - sum(default is not None for default in own.kw_defaults)
    return arguments is None or own.vararg is not None or least <= arguments <= most


def _run_children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that run: not the annotations of functions and of what they assign."""
    if isinstance(node, FUNCTIONS):
        yield from (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults))
        for statement in node.body:
            yield from [statement] if not isinstance(statement, ast.AnnAssign) else filter(None, [statement.value])
    else:
        yield from ast.iter_child_nodes(node)


@cache
def _own_names(function: ast.AST) -> frozenset[str]:
    """Names that are local to a function: its arguments and what it assigns, unless declared global."""
    names: set[str] = set()
    outer: set[str] = set()
    stack: list[ast.AST] = [function]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            outer.update(node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        if node is not function and isinstance(node, (*SCOPES, ast.ClassDef)):
            if not isinstance(node, ast.Lambda):
                names.add(node.name)
            continue
        stack.extend(ast.iter_child_nodes(node))
    return frozenset(names - outer)


def digest(node: ast.AST, without: frozenset[str] = frozenset()) -> str:
    """SHA-256 of what a node does: the same for any layout, comment or docstring, and in any version of Python.

    Members of the class in `without` are left out.
    """
    total = hashlib.sha256()
    for part in _canonical(node, without):
        total.update(part.encode())
        total.update(b"\0")
    return total.hexdigest()


def _canonical(node: object, without: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield type(node).__name__
        for name, value in ast.iter_fields(node):
            if name in ("ctx", "kind", "type_comment", "type_params", "lineno") or value is None or value == []:
                continue
            if name in ("annotation", "returns") and not isinstance(node, ast.AnnAssign):
                continue
            yield name
            yield from _canonical(_statements(value, without) if name == "body" else value, without)
    elif isinstance(node, list):
        yield f"[{len(node)}"
        for part in node:
            yield from _canonical(part, without)
    else:
        yield repr(node)


def _statements(body: object, without: frozenset[str]) -> object:
    """A body without docstrings and the members that are left out."""
    if not isinstance(body, list):
        return body
    return [part for part in body if not _is_docstring(part) and without.isdisjoint(member_names(part) or [""])]
