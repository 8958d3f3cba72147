"""Initial weights from a checkpoint, as params name it; what stands for its content in the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from egopack.ego4d.manifest import file_entry
from egopack.errors import UserError
from egopack.params import OptimizerParams, Params

if TYPE_CHECKING:
    from egopack.model.network import Network


def named_folder(params: OptimizerParams, pack: str = "") -> str | None:
    """The checkpoint that a training starts from, if its params name one; {pack} stands for the name of the pack."""
    named = params.extras.start_from
    return named and named.replace("{pack}", pack)


def initial_checkpoints(params: Params) -> dict[str, str | None]:
    """What each training starts from, by its name (single/ar, multi/all, egopack/ar): a folder, or None."""
    found = {f"multi/{pack}": named_folder(params.multi, pack) for pack in params.packs}
    for task, block in params.tasks.items():
        found[f"single/{task}"] = named_folder(block.train)
        if block.egopack is not None and task in params.helped_by:
            found[f"egopack/{task}"] = named_folder(block.egopack)
    return found


def fingerprint(folder: Path | None) -> dict[str, Any]:
    """{"files": {name: {"bytes", "sha256"}}} of a checkpoint; no files where there is none.

    Raises:
        UserError: a file of it cannot be read.
    """
    if folder is None:
        return {"files": {}}
    from egopack.model.checkpoint import CONFIG, WEIGHTS  # torch; most trainings name no checkpoint

    return {"files": {name: file_entry(folder / name) for name in (CONFIG, WEIGHTS)}}


def load_initial(network: Network, other: Network, source: str, *, whole: bool = False) -> list[str]:
    """Copy every weight that both networks have; the names of tasks that start anew.

    Raises:
        UserError: a weight differs in shape, the backbones have nothing in common, or with `whole` the other lacks a
        weight; `source` names the other.
    """
    own, theirs = network.state_dict(), other.state_dict()
    shared = [name for name in own if name in theirs]
    wrong = [name for name in shared if own[name].shape != theirs[name].shape]
    if wrong:
        shapes = [f"{name}: {tuple(own[name].shape)} here, {tuple(theirs[name].shape)} there" for name in wrong[:5]]
        raise UserError(f"{source}: {len(wrong)} weights have other shapes: {'; '.join(shapes)}")
    if not any(name.startswith("backbone.level.") for name in shared):
        raise UserError(f"{source}: its backbone has another kind of convolution; no weight has the same name")
    missing = [name for name, _ in network.named_parameters() if name not in theirs]
    if whole and missing:
        raise UserError(
            f"{source}: {len(missing)} weights are not there, and epochs 0 would leave them untrained: "
            f"{', '.join(missing[:5])}; train for some epochs, or name a checkpoint of the same tasks and regime"
        )
    network.load_state_dict({name: theirs[name] for name in shared}, strict=False)
    return [name for name in network.task if name not in other.task]
