"""A trained checkpoint made ready to leave the house: with what evaluation and the data's manifest know of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from egopack.files import read_json, sha256
from egopack.model.card import card
from egopack.model.checkpoint import WEIGHTS, read_config, write_checkpoint
from egopack.model.config import ModelConfig
from egopack.params import DataParams
from egopack.tasks.base import load_task


def about_data(data: DataParams, rendered: Sequence[str]) -> dict[str, Any]:
    """What a config says of the raw data, by the names of params; `rendered` are feature sets made of annotations."""
    known: dict[str, Any] = {"data.version": data.version} if data.source == "ego4d" else {"data.source": data.source}
    return known | ({"data.rendered": list(rendered)} if rendered else {})


def release(
    trained: Path,
    out: Path,
    *,
    decode: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Mapping[str, float | None]],
    note: Path,
    data: Sequence[Path],
    params: Mapping[str, Any],
) -> ModelConfig:
    """Write the checkpoint `trained` to `out`, with all that was known only after its training.

    note: what the training's results depended on, as the stage fingerprint_code wrote it
    data: manifests of the raw data that it saw
    decode, scores: of each of its tasks, and maybe of others
    params: values besides those that the note has
    """
    config, noted = read_config(trained), read_json(note)
    tasks = sorted(config.network.tasks)
    code = hashlib.sha256(repr(sorted((noted["code"] | noted["compiled"]).items())).encode()).hexdigest()
    of_data = hashlib.sha256("".join(f"{path.name} {sha256(path)}\n" for path in sorted(data)).encode()).hexdigest()
    config = config.model_copy(
        update={
            "decode": {task: dict(decode[task]) for task in tasks},
            "scores": {task: dict(scores[task]) for task in tasks},
            "params": noted["params"] | dict(params),
            "digests": {"code": code, "data": of_data},
        }
    )
    headlines = {task: load_task(task).headline for task in tasks}
    write_checkpoint(out, (trained / WEIGHTS).read_bytes(), config, card(config, headlines))
    return config
