"""What a compiled function depends on, by the compiler's word; and that a module from other sources is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import egopack_native
import nanobind
import pytest

from egopack.errors import UserError
from egopack.runtime.native_sources import check_built, sources_of

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "src" / "native"
NAMES = sorted(name for name in dir(egopack_native) if callable(getattr(egopack_native, name)) and name[0] != "_")


def included(file: Path) -> set[Path]:
    """The file and what it includes of its own folder, in turn too, as the compiler finds it; headers from elsewhere
    need not be there.
    """
    rule = subprocess.run(["g++", "-std=c++17", "-MM", "-MG", file], capture_output=True, text=True, check=True).stdout
    words = rule.split(":", 1)[1].replace("\\\n", " ").split()
    return {Path(word) for word in words if Path(word).parent == file.parent}


def closure(unit: Path) -> set[Path]:
    """`included`, of the unit and of every .cpp beside a header that is included."""
    found: set[Path] = set()
    ahead = {unit}
    while ahead:
        new = included(ahead.pop())
        ahead |= {path.with_suffix(".cpp") for path in new if path.with_suffix(".cpp").exists()} - found - new
        found |= new
    return found


def test_names_are_the_functions_of_the_module() -> None:
    assert {"nms", "vote", "aggregate", "dropout"} <= set(NAMES)
    stub = (NATIVE / "egopack_native.pyi").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^def (\w+)\(", stub, re.MULTILINE)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_function_is_bound_in_one_source(name: str) -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in NATIVE.glob("*.cpp")}
    bound = [file for file, text in texts.items() if f'.def("{name}"' in text]
    assert len(bound) == 1
    assert bound != ["module.cpp"]
    assert sources_of([name], NATIVE) == sorted({*closure(NATIVE / bound[0]), ROOT / "CMakeLists.txt"})


def test_a_star_is_every_function() -> None:
    """module.cpp binds none itself."""
    units = [path for path in NATIVE.glob("*.cpp") if ".def(" in path.read_text(encoding="utf-8")]
    assert sources_of(["*"], NATIVE) == sorted({ROOT / "CMakeLists.txt"}.union(*map(closure, units)))


def test_sources_of_several_are_those_of_each() -> None:
    several = sources_of(iter(["nms", "dropout"]), NATIVE)
    assert several == sorted({*sources_of(["nms"], NATIVE), *sources_of(["dropout"], NATIVE)})
    assert {"nms.cpp", "dropout.cpp"} <= {path.name for path in several}
    assert "aggregate.cpp" not in {path.name for path in several}


def test_no_names_depend_on_nothing() -> None:
    assert sources_of([], NATIVE) == []


def test_a_name_that_nothing_binds() -> None:
    with pytest.raises(LookupError, match=r"no source binds nm$"):
        sources_of(["nms", "nm"], NATIVE)


def test_includes_are_followed_through_headers_and_their_sources(tmp_path: Path) -> None:
    native = tmp_path / "src" / "native"
    native.mkdir(parents=True)
    files = {
        "unit.cpp": '#include <vector>\n#include "near.h"\nvoid bind() { m.def("one", 1); m.def("one_more", 1); }\n',
        "near.h": '#include "far.h"\n',
        "far.h": "",
        "far.cpp": '#include "far.h"\n  # include "hidden.h"\n',
        "hidden.h": '#include "near.h"\n',
        "other.cpp": '#include "far.h"\n#include "rest.h"\nvoid bind() { m.def("on", 1); }\n',
        "rest.h": "",
        "vector": "",
    }
    for name, text in files.items():
        (native / name).write_text(text, encoding="utf-8")
    ones = sources_of(["one"], native)
    assert [path.name for path in ones] == ["CMakeLists.txt", "far.cpp", "far.h", "hidden.h", "near.h", "unit.cpp"]
    assert set(ones) == {*closure(native / "unit.cpp"), tmp_path / "CMakeLists.txt"}
    assert [path.name for path in sources_of(["on"], native)] == [
        "CMakeLists.txt", "far.cpp", "far.h", "hidden.h", "near.h", "other.cpp", "rest.h",
    ]  # fmt: skip


@pytest.mark.slow
def test_no_source_calls_another_that_it_does_not_include(tmp_path: Path) -> None:
    """By the symbols of the object files: what those that a function depends on leave open, no other source defines."""
    include = Path(nanobind.include_dir()), Path(sysconfig.get_path("include"))
    wanted: dict[str, set[str]] = {}
    defined: dict[str, set[str]] = {}
    for unit in sorted(NATIVE.glob("*.cpp")):
        if unit.name == "module.cpp":
            continue
        built = tmp_path / unit.with_suffix(".o").name
        system = [word for folder in include for word in ("-isystem", folder)]
        subprocess.run(["g++", "-std=c++17", "-O0", "-w", "-fPIC", "-c", *system, unit, "-o", built], check=True)
        wanted[unit.name] = symbols(built, "--undefined-only")
        defined[unit.name] = symbols(built, "--defined-only")
    assert any("bind_nms" in symbol for symbol in defined["nms.cpp"])
    for name in NAMES:
        own = {path.name for path in sources_of([name], NATIVE)} & set(wanted)
        still = set().union(*(wanted[unit] for unit in own)) - set().union(*(defined[unit] for unit in own))
        for unit in set(defined) - own:
            assert not still & defined[unit], f"{name}: {sorted(own)} need {unit}"


def symbols(file: Path, which: str) -> set[str]:
    lines = subprocess.run(["nm", which, "--extern-only", file], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in lines.splitlines()}


# --- a module that is older than its sources
@pytest.fixture
def native(tmp_path: Path) -> Path:
    """A copy of the sources that the installed module was built from."""
    shutil.copytree(NATIVE, tmp_path / "src" / "native")
    shutil.copy(ROOT / "CMakeLists.txt", tmp_path)
    return tmp_path / "src" / "native"


def edit(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")


def test_the_module_was_built_from_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check_built(NATIVE)
    check_built(Path("src/native"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda native: edit(native / "nms.cpp"), "src/native/nms.cpp: .* was built from another version of it"),
        (lambda native: edit(native / "checks.h"), "src/native/checks.h: .* was built from another version of it"),
        (lambda native: edit(native / "module.cpp"), "src/native/module.cpp: .* was built from another version of it"),
        (
            lambda native: edit(native / "../../CMakeLists.txt"),
            "CMakeLists.txt: .* was built from another version of it",
        ),
        (lambda native: (native / "a.h").touch(), "src/native/a.h: .* was built without it"),
        (lambda native: (native / "z.cpp").touch(), "src/native/z.cpp: .* was built without it"),
        (
            lambda native: (native / "parallel.h").unlink(),
            "src/native/parallel.h: .* was built with it, and it is gone",
        ),
    ],
    ids=["edited", "edited-header", "edited-module", "edited-build", "new-header", "new-unit", "gone"],
)
def test_a_module_from_other_sources_is_refused(native: Path, change: Callable[[Path], None], text: str) -> None:
    check_built(native)
    change(native)
    with pytest.raises(UserError, match=rf"^{text}; build it again: make \.venv/native$"):
        check_built(native)


def test_what_is_not_built_does_not_count(native: Path) -> None:
    edit(native / "egopack_native.pyi")
    (native / "nms.cpp~").touch()
    check_built(native)


def test_the_first_of_several_is_named(native: Path) -> None:
    edit(native / "pooling.cpp")
    edit(native / "dropout.cpp")
    with pytest.raises(UserError, match=r"^src/native/dropout\.cpp: "):
        check_built(native)


def test_a_module_that_does_not_know_its_sources_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(egopack_native, "SOURCES")
    with pytest.raises(
        UserError, match=r"^src/native: .* older than these sources; build it again: make \.venv/native$"
    ):
        check_built(NATIVE)


def test_a_module_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "egopack_native", None)
    with pytest.raises(UserError, match=r"^src/native: egopack_native is not installed .* make \.venv/native$"):
        check_built(NATIVE)
