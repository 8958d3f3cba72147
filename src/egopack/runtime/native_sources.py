"""What the compiled module's functions depend on, and whether the module was built from the sources at hand.

Each function is bound in one .cpp by `.def("<name>"`. Its result depends on that file, on the headers that this
includes, in turn too, and on the .cpp beside each of these headers; and, as all of the module, on how CMakeLists.txt
builds it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from egopack.errors import UserError

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
AGAIN = "build it again: make .venv/native"
OF_ITSELF = "SOURCES"  # what the module was built from, a constant: no source computes it


def sources_of(names: Iterable[str], folder: Path) -> list[Path]:
    """The sources in `folder` that these functions of the compiled module depend on, with CMakeLists.txt; sorted.

    No names, no sources; `*` is every function. LookupError for a name that no source binds.
    """
    units = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.cpp"))}
    found: set[Path] = set()
    for name in set(names) - {OF_ITSELF}:
        bound = [path for path, text in units.items() if ('.def("' if name == "*" else f'.def("{name}"') in text]
        if not bound:
            raise LookupError(f"{folder}: no source binds {name}")
        found.update(bound, [_build_file(folder)])
    ahead = [path for path in found if path in units]
    while ahead:
        for include in INCLUDE.findall(ahead.pop().read_text(encoding="utf-8")):
            header = folder / include
            for path in (header, header.with_suffix(".cpp")):
                if path not in found and (path == header or path in units):
                    found.add(path)
                    ahead.append(path)
    return sorted(found)


def check_built(folder: Path) -> None:
    """UserError where the installed compiled module was not built from the sources in `folder`, as they are now."""
    try:
        import egopack_native
    except ImportError as error:
        raise UserError(f"{_shown(folder, folder)}: egopack_native is not installed ({error}); {AGAIN}") from None
    built: dict[str, str] | None = getattr(egopack_native, OF_ITSELF, None)
    if built is None:
        raise UserError(f"{_shown(folder, folder)}: the installed egopack_native is older than these sources; {AGAIN}")
    files = {path.name: path for path in [_build_file(folder), *folder.glob("*.cpp"), *folder.glob("*.h")]}
    for name in sorted(files.keys() | built.keys()):
        if name not in files:
            what = "built with it, and it is gone"
        elif name not in built:
            what = "built without it"
        elif hashlib.sha256(files[name].read_bytes()).hexdigest() != built[name]:
            what = "built from another version of it"
        else:
            continue
        path = _shown(files.get(name, folder / name), folder)
        raise UserError(f"{path}: the installed egopack_native was {what}; {AGAIN}")


def _build_file(folder: Path) -> Path:
    return folder.parent.parent / "CMakeLists.txt"


def _shown(path: Path, folder: Path) -> str:
    """As seen from the top of the checkout, whose `src/native` the folder is."""
    return path.relative_to(folder.parent.parent).as_posix()
