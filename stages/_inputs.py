"""What a stage's results depend on beside the files that dvc.yaml lists: the params that it reads and the code that it
runs.

A stage says `READS = Reads(...)`: the params, and the tasks whose code it runs. `{task}` and `{pack}` are the stage's
argument, `{members}` the tasks of its pack. `load` hands out those params alone, so that a stage cannot read what it
does not say; `fingerprint_code` notes the values, defaults filled in, and a digest of the code.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stages
from stages._common import load_all

if TYPE_CHECKING:
    from egopack.params import Params
    from egopack.provenance.project import Code

ROOT = Path(__file__).resolve().parent.parent
# what changes no result: of params the values are noted in place of the code that reads them
NO_RESULT = (
    ("egopack.params.load", "load_params"),
    ("stages._inputs", "stage_code"),
    ("stages._costs", "told"),
    ("stages._ranks", "launch"),
    ("stages._dvc", "end_with_dvc"),
)
ANYWHERE = ("launcher", "runtime")  # of these, what changes results is named one by one


# of all that train: what every number of theirs follows from
NUMERICS = ("seed", "runtime.reproducible", "runtime.precision", "runtime.compile")


@dataclass(frozen=True)
class Reads:
    """`params`: keys of params.yaml. `tasks`: whose code runs; `all` for every task there is. `built`: tasks that are
    part of a network and not called. `optional`: symbols that run only where the param of that key is not 0. A stage
    without an argument has no `each`.
    """

    params: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    each: str = ""  # the mapping in params.yaml that there is one stage for each key of: tasks, packs or helped_by
    optional: Mapping[str, str] = field(default_factory=dict)

    def keys(self, params: Params) -> list[str]:
        """The arguments that the stage runs with; one empty text for a stage without."""
        if not self.each:
            return [""]
        each: dict[str, Mapping[str, Any]] = {
            "tasks": params.tasks,
            "packs": params.packs,
            "helped_by": params.helped_by,
        }
        return list(each[self.each])

    def names(self, patterns: tuple[str, ...], params: Params, key: str) -> list[str]:
        """The patterns with tasks and packs filled in."""
        pack = key if self.each == "packs" else params.helped_by.get(key, "")
        members = params.packs.get(pack, [])
        found: list[str] = []
        for pattern in patterns:
            names = list(params.tasks) if pattern == "all" else members if "{members}" in pattern else [""]
            found += [pattern.replace("all", name).format(task=key, pack=pack, members=name) for name in names]
        return list(dict.fromkeys(found))


def load(reads: Reads) -> Params:
    """params.yaml of the checkout that the stage runs in; of its blocks those that the stage says it reads."""
    from egopack.params import Params

    params = load_all()
    blocks = {key.removeprefix("names:").split(".")[0] for key in reads.params} | set(ANYWHERE)
    if reads.each or {"packs", "tasks"} & blocks:
        blocks |= {"packs", "tasks", "helped_by"}
    return Params.model_construct(**{name: getattr(params, name) for name in blocks})


def values(params: Params, keys: list[str]) -> dict[str, Any]:
    """The value of each key, with the defaults of what params.yaml leaves out; those of a task's own fields are code
    of the task.
    """
    whole = params.model_dump(mode="json")
    return {key: _value(whole, key) for key in keys}


def _value(whole: Any, key: str) -> Any:
    """The value of a dotted key; of `names:tasks` the keys of that mapping, None for a key that is not there."""
    if key.startswith("names:"):
        return list(whole[key.removeprefix("names:")])
    for part in key.split("."):
        whole = whole.get(part) if isinstance(whole, dict) else None
    return whole


def code() -> Code:
    """The code of the checkout that runs."""
    from egopack.provenance.project import Code

    return Code({"egopack": ROOT / "src" / "egopack", "stages": ROOT / "stages"})


def sources(params: Path) -> str:
    """A digest of all files that notes are made from: whichever of them changes, the notes may."""
    native = [*(ROOT / "src" / "native").glob("*.*"), ROOT / "CMakeLists.txt"]
    files = [path for top in ("src/egopack", "stages") for path in (ROOT / top).rglob("*.py")]
    total = hashlib.sha256(f"{sys.version_info[:2]}".encode() + (params.read_bytes() if params.exists() else b""))
    for path in sorted([*files, *native]):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(ROOT).as_posix()} {content}\n".encode())
    return total.hexdigest()


def stage_code(stage: str) -> str:
    """A digest of all code that a stage without tasks runs."""
    from egopack.provenance.closure import Closure

    digests = Closure(code(), f"stages.{stage}", unused=NO_RESULT).digests()
    return hashlib.sha256("".join(digests.values()).encode()).hexdigest()


def inputs() -> dict[str, Reads]:
    """What each stage says it reads."""
    modules = {one.name: importlib.import_module(f"stages.{one.name}") for one in pkgutil.iter_modules(stages.__path__)}
    return {name: module.READS for name, module in modules.items() if hasattr(module, "READS")}


def note(stage: str, reads: Reads, params: Params, key: str, everything: Code) -> dict[str, Any]:
    """What the results of a stage with this argument depend on: code, compiled sources, params."""
    from egopack.files import sha256
    from egopack.provenance.closure import Closure
    from egopack.runtime.native_sources import sources_of
    from egopack.tasks.base import module_of

    unused = list(NO_RESULT)
    for symbol, switch in reads.optional.items():
        (value,) = values(params, reads.names((switch,), params, key)).values()
        module, _, name = symbol.rpartition(".")
        unused += [] if value else [(module, name)]
    tasks, built = (
        [f"egopack.tasks.{module_of(task)}" for task in reads.names(names, params, key)]
        for names in (reads.tasks, reads.built)
    )
    closure = Closure(everything, f"stages.{stage}", tasks, built, unused)
    return {
        "code": closure.digests(),
        "compiled": {file.name: sha256(file) for file in sources_of(closure.compiled, ROOT / "src" / "native")},
        "params": values(params, reads.names(reads.params, params, key)),
    }
