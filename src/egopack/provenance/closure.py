"""All code that a stage runs: from its module on, every definition that is reached by name, wherever it lives.

A stage depends on definitions rather than files, so that a change of one function reruns what calls it and nothing
else. The search follows names through imports, also those inside of functions. Three things it is told, since no name
leads to them:

- a task is loaded by its name, so the modules of tasks come as roots;
- the methods of a task's contract are called on objects: one of them counts where code that is reached calls a method
  of that name with as many arguments (`decode` where something is evaluated, `samples` where something is indexed);
- torch calls `__init__` and `forward` of a task, where a network is built; `Decode` counts with `decode`.

Classes in `params` are not followed into by annotations: their values are noted beside the code.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from pathlib import Path

from egopack.provenance.syntax import Module, References, digest, member_names, members, references, takes

Symbol = tuple[str, str]  # module, name
TASK: Symbol = ("egopack.tasks.base", "Task")
NETWORK: Symbol = ("egopack.model.network", "Network")
BY_TORCH = frozenset({"__init__", "forward"})
ATTRIBUTES = ("Params", "headline")
MADE = frozenset({"__init__", "Params"})
COMPILED, PARAMS = "egopack_native", "egopack.params"


class Code:
    """The Python files of the project, `packages` by name: where each of them lies."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self.packages = dict(packages)
        self._modules: dict[str, Module | None] = {}
        self._references: dict[int, References] = {}
        self._digests: dict[tuple[int, frozenset[str]], str] = {}
        self._aliases: dict[str, dict[str, Symbol]] = {}
        self._tasks: dict[Symbol, bool] = {}

    def module(self, name: str) -> Module | None:
        """A module of the project; None for any other."""
        if name not in self._modules:
            path = self._path(name)
            self._modules[name] = None if path is None else Module(name, path)
        return self._modules[name]

    def _path(self, name: str) -> Path | None:
        package, *rest = name.split(".")
        if package not in self.packages:
            return None
        stem = self.packages[package].joinpath(*rest)
        return next((path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()), None)

    def references(self, node: ast.stmt) -> References:
        """What a statement refers to, found once."""
        if id(node) not in self._references:
            self._references[id(node)] = references(node)
        return self._references[id(node)]

    def digest(self, node: ast.stmt, without: frozenset[str] = frozenset()) -> str:
        """Digest of a statement, found once."""
        key = (id(node), without)
        if key not in self._digests:
            self._digests[key] = digest(node, without)
        return self._digests[key]

    def aliases(self, module: Module) -> dict[str, Symbol]:
        """What the imports at the top of a module bind: name -> module and name in it (none for a whole module)."""
        if module.name not in self._aliases:
            self._aliases[module.name] = self.bound(module, module.imports)
        return self._aliases[module.name]

    def bound(self, module: Module, imports: Iterable[ast.Import | ast.ImportFrom]) -> dict[str, Symbol]:
        """What these imports of a module bind."""
        found: dict[str, Symbol] = {}
        for node in imports:
            if isinstance(node, ast.Import):
                found |= {alias.asname or alias.name.split(".")[0]: (alias.name, "") for alias in node.names}
                continue
            package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            origin = ".".join(filter(None, [package if node.level else "", node.module or ""]))
            found |= {alias.asname or alias.name: self._place(origin, alias.name) for alias in node.names}
        return found

    def _place(self, origin: str, name: str) -> Symbol:
        inner = f"{origin}.{name}"
        return (inner, "") if self.module(inner) is not None else (origin, name)

    def is_task(self, symbol: Symbol) -> bool:
        """Whether a class is `Task` or derived from it."""
        if symbol not in self._tasks:
            self._tasks[symbol] = symbol == TASK or any(
                base != symbol and self.is_task(base) for base in self._bases(symbol)
            )
        return self._tasks[symbol]

    def lineage(self, symbol: Symbol) -> set[Symbol]:
        """A class and those of the project that it is derived from."""
        return {symbol}.union(*(self.lineage(base) for base in self._bases(symbol) if base != symbol))

    def _bases(self, symbol: Symbol) -> list[Symbol]:
        """The classes that a class of the project is derived from."""
        module = self.module(symbol[0])
        node = None if module is None else module.definitions.get(symbol[1], [None])[0]
        if module is None or not isinstance(node, ast.ClassDef):
            return []
        known, found = self.aliases(module), []
        for base in node.bases:
            if isinstance(base, ast.Name):
                found.append(known.get(base.id, (symbol[0], base.id)))
            elif isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name) and base.value.id in known:
                found.append((known[base.value.id][0], base.attr))
        return found

    @cached_property
    def contract(self) -> dict[str, ast.stmt]:
        """The members that tasks may override, by name."""
        base = self.module(TASK[0])
        assert base is not None
        return members(base.definitions[TASK[1]][0])


class Closure:
    """What is reached from the module `root` and the modules of `tasks`; those of `built` are made and not called.
    `unused` are symbols that this run does not call (an evaluation that is off).
    """

    def __init__(
        self,
        code: Code,
        root: str,
        tasks: Iterable[str] = (),
        built: Iterable[str] = (),
        unused: Iterable[Symbol] = (),
    ) -> None:
        self.code, self.unused = code, frozenset(unused)
        self.symbols: set[Symbol] = set()
        self.modules: set[str] = set()
        self.compiled: set[str] = set()  # names of the compiled module
        self.calls: set[tuple[str, int | None]] = set()
        self.loads: set[str] = set()
        self._todo: list[Symbol] = []
        self._done: set[tuple[Symbol, str]] = set()
        self._whole(root)
        self._run()
        called = [own for name in tasks for own in self._task_classes(name)]
        self.called = {TASK}.union(*(self.code.lineage(own) for own in called))
        for own in (*called, *(own for name in built for own in self._task_classes(name))):
            self._reach(own)
        self._run()
        while self._members_wanted():
            self._run()

    # --- what is reached
    def _whole(self, name: str) -> None:
        module = self.code.module(name)
        if module is not None:
            self._enter(name)
            for own in module.definitions:
                self._reach((name, own))

    def _reach(self, symbol: Symbol) -> None:
        if symbol not in self.symbols and symbol not in self.unused:
            self.symbols.add(symbol)
            self._todo.append(symbol)

    def _enter(self, name: str) -> None:
        """A module is imported: its packages and it itself run their effects."""
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            part = ".".join(parts[:end])
            module = self.code.module(part)
            if module is not None and part not in self.modules:
                self.modules.add(part)
                for node in module.effects:
                    self._follow(module, self.code.references(node))

    def _run(self) -> None:
        while self._todo:
            name, own = self._todo.pop()
            module = self.code.module(name)
            assert module is not None
            self._enter(name)
            for node in module.definitions[own]:
                if self.code.is_task((name, own)):
                    self._follow(module, _without_members(node, self.code.contract))
                else:
                    self._follow(module, self.code.references(node))

    def _members_wanted(self) -> bool:
        """Follow the contract's members that became wanted; whether there were any."""
        new = False
        for symbol in sorted(self.symbols):
            if not self.code.is_task(symbol):
                continue
            module = self.code.module(symbol[0])
            assert module is not None
            for name, part in members(module.definitions[symbol[1]][0]).items():
                if name in self.wanted_of(symbol) and (symbol, name) not in self._done:
                    self._done.add((symbol, name))
                    self._follow(module, self.code.references(part))
                    new = True
        return new

    @property
    def wanted(self) -> frozenset[str]:
        """Members of the contract that count."""
        contract = self.code.contract
        found = {name for name, count in self.calls if name in contract and takes(contract[name], count)}
        found |= {name for name in ATTRIBUTES if name in self.loads}
        found |= BY_TORCH if NETWORK in self.symbols else set()
        return frozenset(found | ({"Decode"} if "decode" in found else set()))

    def wanted_of(self, symbol: Symbol) -> frozenset[str]:
        """Members of the contract that count in a task: of one that is made and not called, what makes it."""
        return self.wanted if symbol in self.called else self.wanted & MADE

    # --- names
    def _follow(self, module: Module, found: References) -> None:
        self.calls |= found.calls
        self.loads |= found.loads
        local = self.code.bound(module, found.imports)
        for target, _ in local.values():
            self._enter(target)
        outer = self.code.aliases(module)
        for name in found.names | set(found.attributes):
            attributes = found.attributes.get(name, set())
            place = local.get(name) or outer.get(name)
            if place is not None:
                whole = name in found.names
                self._use(place, attributes, whole, followed=name in found.bases or module.name.startswith(PARAMS))
            elif name in module.definitions:
                self._reach((module.name, name))

    def _use(self, target: tuple[str, str], attributes: set[str], whole: bool, *, followed: bool) -> None:
        """A name that stands for `target`: a module (no name in it) or a symbol of one."""
        name, own = target
        if name == COMPILED:
            self.compiled |= {one for one in ({own} if own else attributes) if not one.startswith("__")}
            return
        module = self.code.module(name)
        if module is None:
            return
        if own:
            self._symbol(name, own, followed=followed)
            return
        self._enter(name)
        for attribute in attributes:
            self._symbol(name, attribute, followed=followed)
        if whole:
            self._whole(name)

    def _symbol(self, name: str, own: str, *, followed: bool) -> None:
        """A name of a module, which may have it from another."""
        module = self.code.module(name)
        if module is None:
            return
        self._enter(name)
        if own in module.definitions:
            node = module.definitions[own][0]
            if name.startswith(PARAMS) and isinstance(node, ast.ClassDef) and not followed:
                return
            self._reach((name, own))
            return
        elsewhere = self.code.aliases(module).get(own)
        if elsewhere is not None:
            self._use(elsewhere, set(), True, followed=followed)

    # --- tasks
    def _task_classes(self, name: str) -> list[Symbol]:
        """The classes of a module that are tasks."""
        module = self.code.module(name)
        return [] if module is None else [(name, own) for own in module.definitions if self.code.is_task((name, own))]

    # --- the result
    def digests(self) -> dict[str, str]:
        """Module -> SHA-256 of those of its definitions that are reached, and of what importing it does."""
        out = {}
        for name in sorted(self.modules):
            module = self.code.module(name)
            assert module is not None
            parts = [self.code.digest(node) for node in module.effects]
            for own in sorted(own for of, own in self.symbols if of == name):
                task = self.code.is_task((name, own))
                without = frozenset(self.code.contract) - self.wanted_of((name, own)) if task else frozenset()
                parts += [own, *(self.code.digest(node, without) for node in module.definitions[own])]
            if parts:
                out[name] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return out


def _without_members(node: ast.stmt, names: Container[str]) -> References:
    """What a class uses apart from the members of these names."""
    assert isinstance(node, ast.ClassDef)
    kept = [part for part in node.body if not any(name in names for name in member_names(part))]
    return references(ast.ClassDef(node.name, node.bases, node.keywords, kept or [ast.Pass()], node.decorator_list))
