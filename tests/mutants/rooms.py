"""Which tests are to notice a change of which files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src/egopack"
NUMBERS = ("nn", "model", "detection", "training", "tasks", "data")  # whose numbers the fixtures of parity prove too


@dataclass(frozen=True)
class Room:
    """A folder of the package, or the stages: files that are changed, tests that run. Paths are from the checkout."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]


def room(name: str) -> Room:
    more = ("tests/parity",) if name in NUMBERS else ()
    return Room(name, python_in(PACKAGE / name), (f"tests/{name}", *more))


def python_in(folder: Path) -> tuple[str, ...]:
    return tuple(str(path.relative_to(ROOT)) for path in sorted(folder.rglob("*.py")) if path.stem != "__init__")


FOLDERS = [path.name for path in sorted(PACKAGE.iterdir()) if (path / "__init__.py").exists()]
ROOMS = {name: room(name) for name in FOLDERS} | {
    "stages": Room("stages", python_in(ROOT / "stages"), ("tests/stages",)),
}
