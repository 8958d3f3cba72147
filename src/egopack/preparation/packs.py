"""What a pack of tasks depends on, in files of its own, so that other tasks' edits leave it alone."""

from __future__ import annotations

from pathlib import Path

from egopack.files import read_json, write_json


def fill_pack(members: list[str], settings: Path, train: Path, evaluate: Path) -> None:
    """Sum up a pack: what its training depends on in `train`, what its evaluation adds in `evaluate`.

    A change of one task's learning rate or decoding leaves `train` as it was, so the pack is not trained again.
    """
    read = {name: read_json(settings / f"{name}.json") for name in members}
    write_json(
        train, {name: {key: value for key, value in one.items() if key != "decode"} for name, one in read.items()}
    )
    write_json(evaluate, {name: {"decode": one["decode"], "sha256": one["sha256"]} for name, one in read.items()})
