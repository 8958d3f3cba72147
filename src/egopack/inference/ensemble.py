"""Networks that answer as one, in a folder that is loaded as any model is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import save

from egopack.data.batch import Batch
from egopack.errors import UserError
from egopack.evaluation.ensemble import MEMBERS, Ensemble, OnNecks
from egopack.evaluation.probe import Probe
from egopack.files import atomic_path, read_json, write_json
from egopack.inference.model import Model
from egopack.model.card import card
from egopack.model.checkpoint import (
    WEIGHTS,
    check_finite,
    load_checkpoint,
    load_weights,
    read_config,
    read_tensors,
    write_checkpoint,
)
from egopack.model.network import Network
from egopack.params import Strict, check
from egopack.tasks.base import Outputs, load_task

TOGETHER, NECKS = "ensemble.json", "necks.safetensors"
Size = Annotated[int, Field(ge=1)]


class TogetherFile(Strict):
    """What stands in ensemble.json.

    task: what is predicted
    spreads: of each kind of logits of each member
    outputs: of the linear map on the necks, in this order: name, rows of a feature, columns
    """

    task: str
    spreads: dict[str, dict[str, Annotated[float, Field(ge=0, le=1e38)]]]
    outputs: tuple[tuple[str, Size, Size], ...] = Field(min_length=1)


class EnsembleModel(Model):
    """A model whose outputs are those of several networks as one; the first is its own, by which all else goes."""

    together: Ensemble

    def forward(self, name: str, batch: Batch) -> Outputs:
        outputs: Outputs = self.together(name, batch)
        return outputs

    def _save_pretrained(self, save_directory: Path) -> NoReturn:
        raise UserError(f"{save_directory}: an ensemble is a folder of networks; copy or upload the one it came from")


def save_ensemble(
    folder: Path,
    task: str,
    ensemble: Ensemble,
    trained: Mapping[str, Path],
    decode: Mapping[str, Any],
    scores: Mapping[str, float | None],
) -> None:
    """Write an ensemble of the checkpoints `trained` (the task alone, `egopack` and its `pack`) into `folder`: the
    first there, the others in folders of their own, and the linear map on the necks.
    """
    (folder / TOGETHER).unlink(missing_ok=True)
    single, novel, _ = MEMBERS
    config = read_config(trained[single])
    known = {"name": f"ensemble/{task}", "decode": {task: dict(decode)}, "scores": {task: dict(scores)}}
    config = config.model_copy(update=known)
    headlines = {task: load_task(task).headline}
    write_checkpoint(folder, (trained[single] / WEIGHTS).read_bytes(), config, card(config, headlines))
    for name in (novel, "pack"):
        other = read_config(trained[name])
        write_checkpoint(folder / name, (trained[name] / WEIGHTS).read_bytes(), other, card(other))
    probe = cast(OnNecks, ensemble.members[MEMBERS[-1]]).probe
    weights = {"mean": probe.mean, "deviation": probe.deviation, **probe.linear.state_dict()}
    with atomic_path(folder / NECKS) as temporary:
        temporary.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in weights.items()}))
    outputs = [[name, *shape] for name, shape in probe.shapes.items()]
    write_json(folder / TOGETHER, {"task": task, "spreads": ensemble.spreads, "outputs": outputs})


def is_ensemble(folder: Path | str) -> bool:
    """Whether a folder holds several networks that answer as one."""
    return (Path(folder) / TOGETHER).exists()


def load_ensemble(folder: Path | str) -> EnsembleModel:
    """The ensemble of a folder, on the CPU.

    Raises:
        UserError: the folder is not a whole ensemble, or its files contradict each other.
    """
    folder = Path(folder)
    try:
        how = check(TogetherFile, read_json(folder / TOGETHER), file=folder / TOGETHER)
    except RecursionError:
        raise UserError(f"{folder / TOGETHER}: nested too deeply") from None
    single, novel, necks = MEMBERS
    if set(how.spreads) != set(MEMBERS):
        raise UserError(f"{folder / TOGETHER}: spreads: expected those of {', '.join(MEMBERS)}")
    logits = {name for name, _, _ in how.outputs if name.endswith("logits")}
    if any(set(one) != logits for one in how.spreads.values()):
        raise UserError(f"{folder / TOGETHER}: spreads: expected one of each of {', '.join(sorted(logits))}")
    model = EnsembleModel(**read_config(folder).model_dump(mode="json"))
    load_weights(model, folder)
    alone, helped, pack = load_checkpoint(folder), load_checkpoint(folder / novel), load_checkpoint(folder / "pack")
    for network, place in ((alone, folder), (helped, folder / novel)):
        if how.task not in network.spec.tasks:
            raise UserError(f"{place}: not a network of {how.task!r}, which {folder / TOGETHER} names")
    task = alone.head(how.task)
    members = {single: alone, novel: helped, necks: OnNecks(pack, task, _probe(folder, how, pack))}
    model.together = Ensemble(members, alone, how.spreads)
    return model


def _probe(folder: Path, how: TogetherFile, pack: Network) -> Probe:
    """The linear map on the necks of a pack, from its file."""
    path = folder / NECKS
    try:
        weights = read_tensors(path)
    except (FileNotFoundError, SafetensorError) as error:
        raise UserError(f"{folder}: not a whole ensemble: {error}") from None
    width = sum(pack.head(one).neck.size for one in pack.spec.tasks)
    columns = sum(rows * count for _, rows, count in how.outputs)
    wanted = {"mean": (width,), "deviation": (width,), "weight": (columns, width), "bias": (columns,)}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if found != wanted:
        raise UserError(f"{path}: shapes {found} differ from {wanted}, which {TOGETHER} and the pack ask for")
    check_finite(path, weights)
    probe = Probe({name: (rows, count) for name, rows, count in how.outputs}, weights["mean"], weights["deviation"])
    probe.linear.load_state_dict({name: weights[name] for name in ("weight", "bias")})
    return probe
