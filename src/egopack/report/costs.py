"""What each stage took the last time that it ran here; no two runs take the same, so no file that is kept has it."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from egopack.files import read_json
from egopack.report.tables import figure, table


def costs(folder: Path) -> Markup:
    """A table of the stages' times and memory, the dearest first."""
    found = {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}
    order = sorted(found, key=lambda name: (-found[name]["seconds"], name))
    rows = [[name, f"{found[name]['seconds']:.1f}", f"{found[name]['memory_gb']:.2f}"] for name in order]
    total = sum(one["seconds"] for one in found.values())
    words = f"The last time that each of these stages ran on this machine; together {total / 60:.1f} min."
    return figure(table(["stage", "time (s)", "memory, most (GB)"], rows, "what each stage took"), words)
