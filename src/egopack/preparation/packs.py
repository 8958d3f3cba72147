"""What a pack of tasks trains on, in a file of its own, so that a change of other tasks' samples leaves it alone."""

from __future__ import annotations

from pathlib import Path

from egopack.data.splits import LABELS, split_file
from egopack.files import sha256, write_json
from egopack.preparation.index import NEEDED


def fill_pack(members: list[str], samples: Path, out: Path) -> None:
    """Note in `out` the content of <samples>/<member> for every member of a pack."""
    content = {}
    for name in members:
        folder = samples / name
        files = {split: split_file(folder, split) for split in NEEDED}
        content[name] = {split: sha256(file) for split, file in files.items()} | {"labels": sha256(folder / LABELS)}
    write_json(out, content)
