"""What a stage runs, found by name: nothing is missing and nothing superfluous."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import grimp
import pytest

from egopack.params import Params, Strict, TaskBlock
from egopack.provenance.closure import Closure
from egopack.provenance.project import Code
from egopack.provenance.syntax import members
from stages._common import load_all
from stages._inputs import ANYWHERE, NO_RESULT, Reads, code, inputs
from tests.support.workplace import ROOT, Workplace

PACKAGES = {"egopack": ROOT / "src" / "egopack", "stages": ROOT / "stages"}
STAGES = inputs()


def write(folder: Path, **files: str) -> Code:
    package = folder / "p"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    (package / "base.py").write_text("")
    return Toy({"p": package})


class Toy(Code):
    """A project without tasks."""

    contract = {}  # noqa: RUF012


ROOTS = {
    "main": """
from p import tools
from p.other import used as mine

def main():
    from p.late import later
    return mine() + tools.wanted() + later()
""",
    "tools": """
X = 1
def wanted():
    return X
def unwanted():
    return Y
Y = 2
""",
    "other": """
from p.third import base
def used():
    return Kind(base)
class Kind:
    def m(self):
        return helper()
def helper(): ...
def alone(): ...
""",
    "third": "base = 3\nrest = 4\n",
    "late": "from p.third import rest as kept\ndef later():\n    return 5\n",
}


def test_what_is_reached(tmp_path: Path) -> None:
    found = Closure(write(tmp_path, **ROOTS), "p.main")
    assert {symbol for symbol in found.symbols if symbol[0] != "p.main"} == {
        ("p.tools", "wanted"),
        ("p.tools", "X"),
        ("p.other", "used"),
        ("p.other", "Kind"),
        ("p.other", "helper"),
        ("p.third", "base"),
        ("p.late", "later"),
    }


@pytest.mark.parametrize(
    ("name", "old", "new", "counts"),
    [
        ("tools", "X = 1", "X = 7", True),
        ("tools", "Y = 2", "Y = 7", False),
        ("tools", "return Y", "return 0", False),
        ("third", "base = 3", "base = 0", True),
        ("third", "rest = 4", "rest = 0", False),
        ("late", "return 5", "return 6", True),
        ("other", "def helper(): ...", "def helper():\n    return 1", True),
        ("other", "def alone(): ...", "def alone():\n    return 1", False),
        ("other", "class Kind:", "print('imported')\nclass Kind:", True),
    ],
)
def test_edits_of_a_toy(name: str, old: str, new: str, counts: bool, tmp_path: Path) -> None:
    before = Closure(write(tmp_path, **ROOTS), "p.main").digests()
    assert old in ROOTS[name]
    after = Closure(write(tmp_path, **ROOTS | {name: ROOTS[name].replace(old, new)}), "p.main").digests()
    changed = {module for module in before.keys() | after.keys() if before.get(module) != after.get(module)}
    assert changed == ({f"p.{name}"} if counts else set())


# --- the project itself
def closure_of(stage: str, key: str) -> Closure:
    """As the pipeline notes it, everything optional on."""
    reads, params = STAGES[stage], load_all()
    tasks, built = (
        [f"egopack.tasks.{task}" for task in reads.names(names, params, key)] for names in (reads.tasks, reads.built)
    )
    return Closure(code(), f"stages.{stage}", tasks, built, NO_RESULT)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    sys.path.insert(0, str(ROOT))
    try:
        return grimp.build_graph("egopack", "stages", exclude_type_checking_imports=True, cache_dir=None)
    finally:
        sys.path.remove(str(ROOT))


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_nothing_that_is_not_imported(stage: str, graph: grimp.ImportGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another library finds the imports; what the closure has beyond them are tasks, loaded by their names."""
    monkeypatch.chdir(ROOT)
    key = {"tasks": "mq", "packs": "all", "helped_by": "mq", "": ""}[STAGES[stage].each]
    found = closure_of(stage, key)
    roots = {f"stages.{stage}"} | {name for name in found.modules if name.startswith("egopack.tasks.")}
    imported = roots.union(*(graph.find_upstream_modules(root) for root in roots if root in graph.modules))
    packages = {".".join(name.split(".")[:end]) for name in imported for end in range(1, name.count(".") + 2)}
    assert found.modules <= packages


class Trace:
    """Definitions of the project that run: module and qualified name."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_flags & CO_OPTIMIZED:  # not the body of a class, which an import runs
            self.codes.add(frame.f_code)

    def symbols(self) -> Iterator[tuple[str, str, str]]:
        """Module, top-level name, member of it."""
        for one in self.codes:
            for package, folder in PACKAGES.items():
                path = Path(one.co_filename)
                if path.is_relative_to(folder):
                    parts = [package, *path.relative_to(folder).with_suffix("").parts]
                    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                    name, _, member = one.co_qualname.partition(".")
                    yield module, name, member.partition(".")[0]


def trace(run: Callable[[], Any]) -> Trace:
    found = Trace()
    sys.setprofile(found)
    try:
        run()
    finally:
        sys.setprofile(None)
    return found


RUNS = [
    *[("fingerprint_code", ""), ("fingerprint", ""), ("shard", ""), ("index", "ar"), ("index", "oscc")],
    *[("index", "lta"), ("index", "pnr"), ("index", "mq"), ("count", ""), ("fill_pack", "small")],
    *[("train_single", "ar"), ("train_single", "mq"), ("train_single", "lta"), ("evaluate_single", "ar")],
    *[("evaluate_single", "mq"), ("evaluate_single", "lta"), ("train_multi", "small"), ("evaluate_multi", "small")],
    *[("build_prototypes", "small"), ("train_egopack", "mq"), ("evaluate_egopack", "mq")],
]
READERS = {name for _, name in NO_RESULT} | {
    "load_all",
    "code",
    "process_gb",
}  # whose values are noted
ASIDE = ("egopack.params", "egopack.provenance", "stages._costs", "stages._dvc")


# what is read and changes no result: where things are, and what a task's own check looks at
READ_FREELY = {"data.root", "data.source", "tasks.annotations"}


@contextmanager
def params_read(into: set[str]) -> Iterator[None]:
    """Note the second-level keys of params.yaml that code of the project reads, as `data.features`; whole blocks of
    which a copy is made are not reads, nor is what a checkpoint holds.
    """
    blocks: dict[int, tuple[str, Any]] = {}  # kept, so that no other object has the id

    def note(self: Any, name: str) -> Any:
        frame = sys._getframe(1)
        caller = frame.f_globals.get("__name__", "") if frame.f_code.co_name != "check_task" else ""
        if caller.startswith(("egopack", "stages")) and not caller.startswith(("egopack.params", "egopack.provenance")):
            if TaskBlock in type(self).__mro__ and name in TaskBlock.model_fields:
                into.add(f"tasks.{name}")
            elif id(self) in blocks and name in type(self).model_fields:
                into.add(f"{blocks[id(self)][0]}.{name}")
        value = object.__getattribute__(self, name)
        if type(self) is Params and Strict in type(value).__mro__:
            blocks[id(value)] = (name, value)
        return value

    Strict.__getattribute__ = note  # type: ignore[method-assign]
    try:
        yield
    finally:
        del Strict.__getattribute__


def undeclared(reads: Reads, read: set[str]) -> set[str]:
    """Of the keys that were read those that the stage does not say it reads."""
    said = {key.replace(".{task}", "").replace(".{members}", "") for key in reads.params} | READ_FREELY
    return {key for key in read if not {key, key.split(".")[0]} & said and key.split(".")[0] not in ANYWHERE}


def test_nothing_that_runs_or_is_read_is_missing(workplace: Workplace) -> None:
    """Every function that a stage really calls is one that it depends on, and every param that it reads."""

    def small(params: dict[str, Any]) -> None:
        params["packs"] = {"small": ["ar", "oscc"], "other": ["mq", "pnr"]}
        params["comparison"]["multi_pack"] = "small"
        for name, block in params["tasks"].items():
            params["helped_by"][name] = "other" if name in ("ar", "oscc") else "small"
            block["train"]["extras"] = {"evaluate_every": 1, "ema_decay": 0.9}

    workplace.edit_params(small)
    for stage, key in RUNS:
        module = importlib.import_module(f"stages.{stage}")
        arguments = [key] if key else []
        read: set[str] = set()
        with params_read(read):
            ran = trace(lambda module=module, arguments=arguments: run(module, arguments))
        if stage not in STAGES:
            continue
        assert not undeclared(STAGES[stage], read), f"{stage} {key} reads what its READS does not name"
        known = closure_of(stage, key)
        contract = known.code.contract
        for name, own, member in ran.symbols():
            if name.startswith(ASIDE) or own in ("<module>", "<lambda>", *READERS):
                continue
            if is_block(name, own):  # every stage checks all of params.yaml; values are noted
                continue
            assert (name, own) in known.symbols, f"{stage} {key}: {name}.{own} runs, but is not in its closure"
            if known.code.is_task((name, own)) and member in contract:
                assert member in known.wanted_of((name, own)), (
                    f"{stage} {key}: {own}.{member} runs, but is not in its closure"
                )


def is_block(module: str, name: str) -> bool:
    """Whether it is a block of params.yaml, whose values are noted."""
    found = getattr(importlib.import_module(module), name, None)
    return isinstance(found, type) and issubclass(found, Strict)


def run(module: Any, arguments: list[str]) -> None:
    """A stage in this process; what goes wrong is raised."""
    module.main.main(arguments, standalone_mode=False)


def test_stages_say_what_they_read() -> None:
    """A stage of dvc.yaml has its note, which holds code and params, and names no params besides."""
    import yaml

    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(STAGES) == set(stages) - {"fingerprint", "fingerprint_code"}
    for name, reads in STAGES.items():
        block = stages[name].get("do", stages[name])
        note = f"data/code/{name}/${{key}}.json" if reads.each else f"data/code/{name}.json"
        assert note in block["deps"], name
        assert "params" not in block, name


def test_contract_methods_are_found_by_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    model = {"Params", "sources", "__init__", "forward"}
    assert closure_of("index", "mq").wanted == {"Params", "sources", "labels", "samples"}
    assert not closure_of("index", "mq").compiled
    off = [*NO_RESULT, ("egopack.evaluation.evaluate", "headlines")]
    without = Closure(code(), "stages.train_single", ["egopack.tasks.mq"], unused=off)
    assert without.wanted == model | {"align", "augment", "loss", "trouble"}
    assert "egopack.detection.nms" not in without.modules
    assert {"decode", "score", "Decode", "headline"} <= closure_of("train_single", "mq").wanted
    assert {"decode", "score", "chance", "Decode"} <= closure_of("evaluate_single", "mq").wanted
    assert "loss" not in closure_of("evaluate_single", "mq").wanted
    assert closure_of("compare", "").wanted == {"headline"}
    assert isinstance(STAGES["compare"], Reads)
    assert set(members(code().module("egopack.tasks.base").definitions["Task"][0])) >= {"loss", "decode", "headline"}
