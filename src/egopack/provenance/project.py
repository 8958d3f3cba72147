"""The Python files of the project: what imports bind, what classes are derived from, what a task may override."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from egopack.provenance.names import FUNCTIONS, dotted
from egopack.provenance.syntax import Module, members, module

Symbol = tuple[str, str]  # module, name; no name for the module itself
Bindings = dict[str, set[Symbol]]  # a name may come from several imports, in branches or in several functions
TASK: Symbol = ("egopack.tasks.base", "Task")
PARAMS = "egopack.params"


class Code:
    """The Python files of the project, `packages` by name: where each of them lies."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self.packages = dict(packages)
        self._modules: dict[str, Module | None] = {}
        self._aliases: dict[str, Bindings] = {}
        self._tasks: dict[Symbol, bool] = {}
        self._bound: dict[tuple[int, ...], Bindings] = {}
        self._imported: dict[tuple[int, ...], tuple[str, ...]] = {}
        self._registering: dict[str, tuple[str, ...]] = {}

    def module(self, name: str) -> Module | None:
        """A module of the project; None for any other."""
        if name not in self._modules:
            path = self._path(name)
            self._modules[name] = None if path is None else module(name, path, path.read_bytes())
        return self._modules[name]

    def _path(self, name: str) -> Path | None:
        package, *rest = name.split(".")
        if package not in self.packages:
            return None
        stem = self.packages[package].joinpath(*rest)
        return next((path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()), None)

    # --- imports
    def aliases(self, module: Module) -> Bindings:
        """What the imports at the top of a module bind: name -> modules and names in them (none for a whole module)."""
        if module.name not in self._aliases:
            self._aliases[module.name] = {}  # for modules that import all of each other
            self._aliases[module.name] = self.bound(module, module.imports)
        return self._aliases[module.name]

    def bound(self, module: Module, imports: Iterable[ast.Import | ast.ImportFrom]) -> Bindings:
        """What these imports of a module bind, found once."""
        key = tuple(map(id, imports))
        if key not in self._bound:
            self._bound[key] = self._bindings(module, imports)
        return self._bound[key]

    def _bindings(self, module: Module, imports: Iterable[ast.Import | ast.ImportFrom]) -> Bindings:
        found: Bindings = {}
        for node in imports:
            origin = self._origin(module, node)
            for one in node.names:
                if isinstance(node, ast.Import):
                    name = one.asname or one.name.split(".")[0]
                    found.setdefault(name, set()).add((one.name if one.asname else name, ""))
                elif one.name == "*":
                    for name in self._public(origin):
                        found.setdefault(name, set()).add(self._place(origin, name))
                else:
                    found.setdefault(one.asname or one.name, set()).add(self._place(origin, one.name))
        return found

    def imported(self, module: Module, imports: Iterable[ast.Import | ast.ImportFrom]) -> tuple[str, ...]:
        """The modules that these imports of a module run, found once."""
        key = tuple(map(id, imports))
        if key not in self._imported:
            origins = [(self._origin(module, node), node) for node in imports]
            names = [[origin, *(f"{origin}.{one.name}".lstrip(".") for one in node.names)] for origin, node in origins]
            self._imported[key] = tuple(dict.fromkeys(name for several in names for name in several if name))
        return self._imported[key]

    def _origin(self, module: Module, node: ast.Import | ast.ImportFrom) -> str:
        """The module that names are imported from; none for plain imports."""
        if isinstance(node, ast.Import):
            return ""
        package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        return ".".join(filter(None, [package if node.level else "", node.module or ""]))

    def _place(self, origin: str, name: str) -> Symbol:
        package, inner = self.module(origin), f"{origin}.{name}"
        defined = package is not None and name in package.definitions
        return (inner, "") if not defined and self.module(inner) is not None else (origin, name)

    def _public(self, origin: str) -> set[str]:
        module = self.module(origin)
        return set() if module is None else module.definitions.keys() | self.aliases(module).keys()

    def registering(self, module: Module) -> tuple[str, ...]:
        """The definitions of a module that others know without their names: a decorator of the project, or a class
        above that asks to be told.
        """
        if module.name not in self._registering:
            found = [
                own for own, nodes in module.definitions.items() if any(self._registers(module, one) for one in nodes)
            ]
            self._registering[module.name] = tuple(found)
        return self._registering[module.name]

    def _registers(self, module: Module, node: ast.stmt) -> bool:
        decorators = node.decorator_list if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else []
        known = self.aliases(module)
        for one in decorators:
            name, _ = dotted(one.func if isinstance(one, ast.Call) else one)
            places = known.get(name, set())
            if name in module.definitions or any(self.module(place[0]) is not None for place in places):
                return True
        if not isinstance(node, ast.ClassDef):
            return False
        above = self.lineage((module.name, node.name)) - {(module.name, node.name)}
        return any("__init_subclass__" in members(part) for symbol in above for part in self.definition(symbol))

    # --- classes
    def definition(self, symbol: Symbol) -> list[ast.stmt]:
        """The statements that define a symbol; none for what is not the project's."""
        module = self.module(symbol[0])
        return [] if module is None else module.definitions.get(symbol[1], [])

    def is_task(self, symbol: Symbol) -> bool:
        """Whether a class is `Task` or derived from it."""
        if symbol not in self._tasks:
            self._tasks[symbol] = symbol == TASK
            self._tasks[symbol] = symbol == TASK or any(self.is_task(base) for base in self._bases(symbol))
        return self._tasks[symbol]

    def lineage(self, symbol: Symbol) -> set[Symbol]:
        """A class and those of the project that it is derived from."""
        found, todo = set[Symbol](), [symbol]
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += self._bases(one)
        return found

    def _bases(self, symbol: Symbol) -> set[Symbol]:
        """The classes that a class of the project is derived from."""
        module = self.module(symbol[0])
        nodes = [node for node in self.definition(symbol) if isinstance(node, ast.ClassDef)]
        if module is None:
            return set()
        return set[Symbol]().union(*(self._classes(module, base) for node in nodes for base in node.bases))

    def _classes(self, module: Module, node: ast.expr) -> set[Symbol]:
        """The classes that an expression may stand for, wherever they are defined."""
        name, path = dotted(node.value if isinstance(node, ast.Subscript) else node)  # of Base[Kind], Base
        if not name:
            return set()
        places = self.aliases(module).get(name, set()) | (
            {(module.name, name)} if name in module.definitions else set()
        )
        for attribute in filter(None, path.split(".")):
            places = {self._place(origin, attribute) for origin, own in places if not own}
        return set[Symbol]().union(*(self._home(place) for place in places))

    def _home(self, symbol: Symbol, ahead: int = 8) -> set[Symbol]:
        """Where a symbol that was imported, or is another name of a class, is defined."""
        module = self.module(symbol[0])
        if module is None or not symbol[1] or not ahead:
            return set()
        further = self.aliases(module).get(symbol[1], set())
        found = set[Symbol]().union(*(self._home(place, ahead - 1) for place in further))
        for node in module.definitions.get(symbol[1], []):
            if isinstance(node, ast.ClassDef):
                found.add(symbol)
            elif isinstance(node, ast.Assign) and dotted(node.value) != (symbol[1], "") and dotted(node.value)[0]:
                found |= self._classes(module, node.value)
        return found

    @cached_property
    def contract(self) -> dict[str, ast.stmt]:
        """The members that tasks may override, by name. Private ones are helpers: they count with the class."""
        return {
            name: parts[0]
            for node in self.definition(TASK)
            for name, parts in members(node).items()
            if name == "__init__" or not name.startswith("_")
        }

    @cached_property
    def params_methods(self) -> list[tuple[Symbol, str, ast.stmt]]:
        """Methods and properties of classes in params, which no values stand for; not what checks values."""
        folder = self._path(PARAMS)
        found: list[tuple[Symbol, str, ast.stmt]] = []
        for path in [] if folder is None else sorted(folder.parent.glob("*.py")):
            module = self.module(f"{PARAMS}.{path.stem}")
            for own, nodes in module.definitions.items() if module is not None else ():
                parts = [(name, part) for node in nodes for name, several in members(node).items() for part in several]
                found += [((module.name, own), name, part) for name, part in parts if module and _is_method(part)]
        return found


def _is_method(member: ast.stmt) -> bool:
    """Whether a member of a class is a function, other than one that pydantic calls to check values."""
    decorators = [part for one in getattr(member, "decorator_list", []) for part in ast.walk(one)]
    names = {part.id for part in decorators if isinstance(part, ast.Name)}
    return isinstance(member, FUNCTIONS) and not any(name.endswith("_validator") for name in names)
