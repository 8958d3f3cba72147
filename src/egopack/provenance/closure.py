"""All code that a stage runs: from its module on, every definition that is reached by name, wherever it lives.

A stage depends on definitions rather than files, so that a change of one function reruns what calls it and nothing
else. The search follows names through imports, also those inside of functions. Some things it is told, since no name
leads to them:

- a task is loaded by its name, so the modules of tasks come as roots;
- the methods of a task's contract are called on objects: one of them counts where code that is reached calls a method
  of that name with as many arguments (`decode` where something is evaluated, `samples` where something is indexed), a
  class attribute or property where one of that name is read;
- torch calls `__init__` and `forward` of a task, where a network is built; `Decode` counts with `decode`;
- what a decorator of the project is put on, and what a class above hears of, counts where its module is imported.

Classes in `params` are not followed into by annotations: their values are noted beside the code. Their methods count
where one of that name is read.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache

from egopack.provenance.names import References, references, takes
from egopack.provenance.project import PARAMS, TASK, Code, Symbol
from egopack.provenance.syntax import Module, digest, is_attribute, left_out, members

NETWORK: Symbol = ("egopack.model.network", "Network")
BY_TORCH = frozenset({"__init__", "forward"})
MADE = frozenset({"__init__", "Params"})
COMPILED, ALL_COMPILED = "egopack_native", "*"


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
        self.bindings: dict[str, set[tuple[str, str, str]]] = {}  # module -> names that it has from others, whence
        self._todo: list[Symbol] = []
        self._imported: set[str] = set()
        self._entered: set[str] = set()
        self._passed: set[tuple[Symbol, frozenset[str], bool, bool]] = set()
        self._done: set[int] = set()
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
        """Something of a module is used: its packages and it itself count with their effects."""
        if name not in self._entered:
            self._entered.add(name)
            self._import(name)
            self.modules |= {part for part in _packages(name) if self.code.module(part) is not None}

    def _import(self, name: str) -> None:
        """A module is imported, and all that it imports: what has effects counts."""
        if name in self._imported:
            return
        for part in _packages(name):
            module = None if part in self._imported else self.code.module(part)
            self._imported.add(part)
            if module is None:
                continue
            if module.effects:
                self.modules.add(part)
            for node in module.effects:
                self._follow(module, references(node))
            for own in self.code.registering(module):
                self._reach((part, own))
            for other in self.code.imported(module, module.imports):
                self._import(other)

    def _run(self) -> None:
        while self._todo:
            name, own = self._todo.pop()
            module = self.code.module(name)
            assert module is not None
            self._enter(name)
            for node in module.definitions[own]:
                if self.code.is_task((name, own)):
                    self._follow(module, _without_members(node, frozenset(self.code.contract)))
                else:
                    self._follow(module, references(node))

    def _members_wanted(self) -> bool:
        """Follow the contract's members, and methods of params, that became wanted; whether there were any."""
        wanted = {symbol: self.wanted_of(symbol) for symbol in sorted(self.symbols) if self.code.is_task(symbol)}
        parts = [
            (symbol, name, part)
            for symbol, names in wanted.items()
            for node in self.code.definition(symbol)
            for name, several in members(node).items()
            for part in several
            if name in names
        ]
        new = [one for one in (*parts, *self._params_methods()) if id(one[2]) not in self._done]
        for symbol, _, part in new:
            self._done.add(id(part))
            module = self.code.module(symbol[0])
            assert module is not None
            self._follow(module, references(part))
        return bool(new)

    def _params_methods(self) -> list[tuple[Symbol, str, ast.stmt]]:
        """Methods of params that are asked for by name, of classes that do not count as a whole."""
        return [one for one in self.code.params_methods if one[1] in self.loads and one[0] not in self.symbols]

    @property
    def wanted(self) -> frozenset[str]:
        """Members of the contract that count."""
        contract = self.code.contract
        found = {name for name, count in self.calls if name in contract and takes(contract[name], count)}
        found |= {name for name, part in contract.items() if name in self.loads and is_attribute(part)} - {"Decode"}
        found |= BY_TORCH if NETWORK in self.symbols else set()
        return frozenset(found | ({"Decode"} if "decode" in found else set()))

    def wanted_of(self, symbol: Symbol) -> frozenset[str]:
        """Members of the contract that count in a task: of one that is made and not called, what makes it."""
        return self.wanted if symbol in self.called else self.wanted & MADE

    # --- names
    def _follow(self, module: Module, found: References) -> None:
        self.calls |= found.calls
        self.loads |= found.loads
        for name in (*self.code.imported(module, found.imports), *found.texts):
            self._enter(name)
        for name in found.texts:
            self._whole(name)
        local, outer = self.code.bound(module, found.imports), self.code.aliases(module)
        for name in found.names | found.attributes.keys():
            attributes = found.attributes.get(name, set())
            if name in outer:
                self.bindings.setdefault(module.name, set()).update((name, *place) for place in outer[name])
            followed = name in found.bases or module.name.startswith(PARAMS)
            for place in local.get(name, set()) | outer.get(name, set()):
                self._use(place, attributes, whole=name in found.names, followed=followed)
            if name in module.definitions:
                self._reach((module.name, name))
        if "globals" in found.names:
            self._whole(module.name)

    def _use(self, target: Symbol, attributes: set[str], *, whole: bool, followed: bool) -> None:
        """A name that stands for `target`: a module (no name in it) or a symbol of one."""
        name, own = target
        if name == COMPILED:
            asked = {own} if own else {one.split(".")[0] for one in attributes} | ({ALL_COMPILED} if whole else set())
            self.compiled |= {one for one in asked if not one.startswith("__")}
            return
        if self.code.module(name) is None:
            return
        if own:
            self._symbol(name, own, attributes, whole=whole, followed=followed)
            return
        self._enter(name)
        for attribute in attributes:
            first, _, rest = attribute.partition(".")
            self._symbol(name, first, {rest} - {""}, whole=not rest, followed=followed)
        if whole:
            self._whole(name)

    def _symbol(self, name: str, own: str, attributes: set[str], *, whole: bool, followed: bool) -> None:
        """A name of a module, which may have it from another, or is a module in it."""
        module = self.code.module(name)
        if module is None:
            return
        self._enter(name)
        node = module.definitions.get(own, [None])[0]
        if node is not None and (followed or not (name.startswith(PARAMS) and isinstance(node, ast.ClassDef))):
            self._reach((name, own))
        elsewhere = self.code.aliases(module).get(own, set()) - {(name, own)}
        for place in elsewhere:
            self._elsewhere(place, attributes, whole=whole, followed=followed)
        if node is None and not elsewhere:
            if self.code.module(f"{name}.{own}") is not None:
                self._use((f"{name}.{own}", ""), attributes, whole=whole, followed=followed)
            elif "__getattr__" in module.definitions:
                self._reach((name, "__getattr__"))

    def _elsewhere(self, place: Symbol, attributes: set[str], *, whole: bool, followed: bool) -> None:
        """What a module has from another; modules that have it from each other do not go round for ever."""
        key = (place, frozenset(attributes), whole, followed)
        if key not in self._passed:
            self._passed.add(key)
            self._use(place, attributes, whole=whole, followed=followed)

    # --- tasks
    def _task_classes(self, name: str) -> list[Symbol]:
        """The classes of a module that are tasks; all of a module in which none is found."""
        module = self.code.module(name)
        found = [] if module is None else [(name, own) for own in module.definitions if self.code.is_task((name, own))]
        if not found:
            self._whole(name)
        return found

    # --- the result
    def digests(self) -> dict[str, str]:
        """Module -> SHA-256 of those of its definitions that are reached, of where these have their names from, and of
        what importing it does.
        """
        out, asked = {}, self._params_methods()
        for name in sorted(self.modules | {symbol[0] for symbol, _, _ in asked}):
            module = self.code.module(name)
            assert module is not None
            parts = [digest(node) for node in module.effects]
            for own in sorted(own for of, own in self.symbols if of == name):
                task = self.code.is_task((name, own))
                without = frozenset(self.code.contract) - self.wanted_of((name, own)) if task else frozenset()
                parts += [own, *(digest(node, without) for node in module.definitions[own])]
            for symbol, member, part in asked:
                parts += [f"{symbol[1]}.{member}", digest(part)] if symbol[0] == name else []
            if parts:
                parts += [" ".join(binding) for binding in sorted(self.bindings.get(name, ()))]
                out[name] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return out


def _packages(name: str) -> list[str]:
    """The packages that a module lies in, the outermost first, and itself."""
    return [name[:end] for end, letter in enumerate(f"{name}.") if letter == "."]


@cache
def _without_members(node: ast.stmt, names: frozenset[str]) -> References:
    """What a class uses apart from the members of these names."""
    assert isinstance(node, ast.ClassDef)
    kept = [part for part in node.body if not left_out(part, names)]
    return references(ast.ClassDef(node.name, node.bases, node.keywords, kept or [ast.Pass()], node.decorator_list))
