"""What a piece of code refers to: names of its module, whichever scope they stand in, and what it asks of objects."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.Lambda)
INNER = frozenset({*SCOPES, ast.ClassDef})  # scopes inside of a function
BINDERS = frozenset(
    {
        ast.Global,
        ast.Nonlocal,
        ast.Import,
        ast.ImportFrom,
        ast.arg,
        ast.ExceptHandler,
        ast.MatchAs,
        ast.MatchStar,
        ast.MatchMapping,
    }
)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
CALLERS = frozenset({"partial", "map", "starmap", "filter", "submit", "Thread"})  # what calls what it is given


@dataclass
class References:
    """Names of the module that a piece of code uses, attributes that it asks of names (`layout.SPLITS`, dotted where
    it asks on), methods that it calls on anything, each with the number of arguments (None: any), attributes that it
    reads of anything, imports inside of functions, and modules that it imports by a text.
    """

    names: set[str] = field(default_factory=set)
    attributes: dict[str, set[str]] = field(default_factory=dict)
    calls: set[tuple[str, int | None]] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    imports: list[ast.Import | ast.ImportFrom] = field(default_factory=list)
    bases: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


@cache
def references(node: ast.AST) -> References:
    """What a statement uses of its module; names that it binds itself in a function are its own."""
    found = References()
    _visit(node, frozenset(), found)
    return found


def is_type_checking(node: ast.AST) -> bool:
    """Whether a statement has a branch that never runs, for type checkers alone."""
    if not isinstance(node, ast.If):
        return False
    name = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
    return name == "TYPE_CHECKING"


def dotted(node: ast.expr) -> tuple[str, str]:
    """The name that an expression starts from, and the attributes that it asks on: `a.b.c` is ("a", "b.c"); ("", "")
    for any other expression.
    """
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.append(node.attr)
        node = node.value
    return (node.id, ".".join(reversed(path))) if isinstance(node, ast.Name) else ("", "")


def _visit(node: ast.AST, bound: frozenset[str], found: References, local: bool = False) -> None:
    """`bound` are names of functions around the node, `local` whether one of these is the innermost scope."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        found.imports.append(node)
    elif isinstance(node, ast.If) and is_type_checking(node):
        _visit_all(node.orelse, bound, found, local)
    elif isinstance(node, SCOPES):
        _visit_all(_outside(node), bound, found, local)
        names = _scope(node)
        inner = (bound - names.outer) | names.own
        _visit_all(node.body if isinstance(node.body, list) else [node.body], inner, found, True)
    elif isinstance(node, COMPREHENSIONS):
        _visit_comprehension(node, bound, found, local)
    elif isinstance(node, ast.AnnAssign) and local:
        _visit_all(filter(None, [node.target, node.value]), bound, found, local)
    elif isinstance(node, ast.Attribute):
        _visit_attribute(node, bound, found, local)
    elif isinstance(node, ast.Name):
        found.names |= {node.id} - bound
    else:
        if isinstance(node, ast.Call) and _note_call(node, bound, found):
            _visit_all(node.args[2:], bound, found, local)
            return
        if isinstance(node, ast.ClassDef):
            found.bases |= {part.id for base in node.bases for part in ast.walk(base) if isinstance(part, ast.Name)}
        _visit_all(ast.iter_child_nodes(node), bound, found, local and not isinstance(node, ast.ClassDef))


def _visit_all(nodes: Iterable[ast.AST], bound: frozenset[str], found: References, local: bool) -> None:
    for node in nodes:
        _visit(node, bound, found, local)


def _visit_attribute(node: ast.Attribute, bound: frozenset[str], found: References, local: bool) -> None:
    found.loads.add(node.attr)
    name, path = dotted(node)
    if not name or name in bound:
        _visit(node.value, bound, found, local)
        return
    found.loads.update(path.split("."))
    found.attributes.setdefault(name, set()).add(path)


def _visit_comprehension(
    node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp,
    bound: frozenset[str],
    found: References,
    local: bool,
) -> None:
    """The first iterable stands outside, where the names of the comprehension are not yet its own."""
    first, *others = node.generators
    _visit(first.iter, bound, found, local)
    stored = [part for one in node.generators for part in ast.walk(one.target) if isinstance(part, ast.Name)]
    inner = bound | {part.id for part in stored if isinstance(part.ctx, ast.Store)}
    results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    _visit_all([*results, first.target, *first.ifs, *others], inner, found, local)


def _outside(function: ast.AST) -> Iterator[ast.expr]:
    """The parts of a function that run where it is defined; annotations are not code that runs."""
    assert isinstance(function, SCOPES)
    if not isinstance(function, ast.Lambda):
        yield from function.decorator_list
    yield from (*function.args.defaults, *filter(None, function.args.kw_defaults))


def _note_call(call: ast.Call, bound: frozenset[str], found: References) -> bool:
    """Note what a call says of methods, attributes and modules; whether that is all to say of its first arguments."""
    if isinstance(call.func, ast.Attribute):
        found.calls.add((call.func.attr, _arguments(call)))
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in CALLERS:
        given = [*call.args, *(one.value for one in call.keywords)]
        found.calls |= {(one.attr, None) for one in given if isinstance(one, ast.Attribute)}
    texts = [str(one.value) for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    if name in ("import_module", "__import__"):
        found.texts.update(texts)
    if name not in ("getattr", "methodcaller", "attrgetter"):
        return False
    for text in texts:  # perhaps a default that is a text too, which does no harm
        found.loads.add(text)
        found.calls.add((text, None))
    owner, path = dotted(call.args[0]) if call.args else ("", "")
    if name != "getattr" or not owner or owner in bound or len(call.args) < 2 or not texts:
        return False
    if not isinstance(call.args[1], ast.Constant):
        return False
    found.attributes.setdefault(owner, set()).add(".".join(filter(None, [path, str(call.args[1].value)])))
    return True


def _arguments(call: ast.Call) -> int | None:
    """How many arguments a call passes; None where that is not written in it, or its first is the object itself."""
    starred = any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords)
    unbound = bool(call.args) and isinstance(call.args[0], ast.Name) and call.args[0].id in ("self", "cls")
    return None if starred or unbound else len(call.args) + len(call.keywords)


def takes(function: ast.stmt, arguments: int | None) -> bool:
    """Whether a method can be called on an object with so many arguments."""
    if not isinstance(function, FUNCTIONS):
        return False
    own = function.args
    static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in function.decorator_list)
    most = len(own.posonlyargs) + len(own.args) + len(own.kwonlyargs) - (not static)
    least = most - len(own.defaults) - sum(default is not None for default in own.kw_defaults)
    return arguments is None or own.vararg is not None or least <= arguments <= most


@dataclass(frozen=True)
class _Scope:
    """Names that are local to a function, and those that it has from outside although a function around it may have
    its own: declared global, or imported here.
    """

    own: frozenset[str]
    outer: frozenset[str]


@cache
def _scope(function: ast.AST) -> _Scope:
    """The arguments of a function and what it assigns; names of comprehensions are theirs alone."""
    names, declared, outer = set[str](), set[str](), set[str]()
    stack: list[ast.AST] = [function]
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is ast.Name:
            names |= {node.id} if isinstance(node.ctx, ast.Store) else set()  # type: ignore[attr-defined]
            continue
        if kind in BINDERS:
            _bind(node, names, declared, outer)
        if kind in INNER and node is not function:
            names |= set() if isinstance(node, ast.Lambda) else {node.name}  # type: ignore[attr-defined]
            continue
        stack.extend([node.iter, *node.ifs] if isinstance(node, ast.comprehension) else ast.iter_child_nodes(node))
    return _Scope(frozenset(names - declared - outer), frozenset(outer))


def _bind(node: ast.AST, names: set[str], declared: set[str], outer: set[str]) -> None:
    """What a statement or a part of one binds in the function that it stands in."""
    if isinstance(node, ast.Global):
        outer.update(node.names)
    elif isinstance(node, ast.Nonlocal):
        declared.update(node.names)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        outer.update((one.asname or one.name).split(".")[0] for one in node.names)
    elif isinstance(node, ast.arg):
        names.add(node.arg)
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        names.add(node.name)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        names.add(node.rest)
