"""Checkpoints that trainings start from, as params name them; what stands for their content in the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from egopack.ego4d.manifest import digest
from egopack.params import Params, RegimeParams, check

WEIGHTS, SPEC = "model.safetensors", "model.json"  # of any checkpoint


def starts(params: Params, file: Path | str) -> dict[str, str | None]:
    """What each training starts from, by its name (single/ar, multi/all, egopack/ar): a folder, or None.

    {pack} in the folder of multi-task training stands for the name of the pack.

    Raises:
        UserError: a task's settings of training are wrong; `file` is where they stand.
    """
    named = params.multi.extras.start_from
    found = {f"multi/{pack}": named and named.replace("{pack}", pack) for pack in params.packs}
    for task, block in params.tasks.items():
        own = {part: block[part] for part in RegimeParams.model_fields if part in block}
        regimes = check(RegimeParams, own, file=file, key=f"tasks.{task}")
        found[f"single/{task}"] = regimes.train.extras.start_from
        found[f"egopack/{task}"] = regimes.egopack.extras.start_from
    return found


def content(folder: Path | None) -> dict[str, Any]:
    """{"files": {name: {"bytes", "sha256"}}} of a checkpoint; no files where there is none.

    Raises:
        UserError: a file of it cannot be read.
    """
    return {"files": {} if folder is None else {name: digest(folder / name) for name in (SPEC, WEIGHTS)}}
