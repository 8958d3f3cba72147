"""Prototypes: what each support task's neck makes of every (verb, noun) pair (section 5 of the method, step 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from egopack.data.loader import Loader
from egopack.errors import UserError
from egopack.files import atomic_path
from egopack.model.checkpoint import check_finite, read_tensors
from egopack.model.network import Network
from egopack.nn.heads import segment_mean
from egopack.runtime.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Prototypes:
    """`rows` of each support task [P, F]; row i is the mean over the segments of verb `verb`[i] and noun `noun`[i],
    verb-major.
    """

    rows: dict[str, Tensor]
    verb: Tensor
    noun: Tensor


@torch.no_grad()
def build_prototypes(
    network: Network,
    loader: Loader,
    *,
    verbs: int,
    nouns: int,
    device: torch.device,
    task: str = "ar",
    on_batch: Callable[[int], object] = lambda samples: None,
    ranks: Ranks = ALONE,
) -> Prototypes:
    """Average each support task's neck on the level-0 nodes over every segment of the loader, by (verb, noun) pair.

    The network is used in evaluation mode. Segments without a verb or a noun label take no part, pairs without a
    segment have no row. Ranks take turns at the batches.

    Raises:
        UserError: samples of this `task` have no segments with verbs and nouns, or none has both labels.
    """
    key = "params.yaml: prototypes.task"
    network.to(device).eval()
    counts = torch.zeros(verbs * nouns, dtype=torch.float64)  # on the host, which adds in a fixed order
    sums = {name: counts.new_zeros(verbs * nouns, network.head(name).neck.size) for name in network.task}
    for batch, _ in loader.epoch(first=ranks.rank, every=ranks.world):
        verb, noun = batch.targets.get("verbs"), batch.targets.get("nouns")
        if batch.segment_nodes is None or verb is None or noun is None:
            raise UserError(
                f"{key}: samples of {task!r} have no segments with a verb and a noun each; name a task that has them"
            )
        batch = batch.to(device)
        assert batch.segment_nodes is not None
        nodes = network.backbone(batch.x, batch.pyramid[:1])[0]
        labelled = ((verb >= 0) & (noun >= 0)).double()
        pair = verb.clamp(min=0) * nouns + noun.clamp(min=0)
        counts.index_add_(0, pair, labelled)
        for name in network.task:
            pooled = segment_mean(network.head(name).neck(nodes), batch.segment_nodes).cpu().double()
            sums[name].index_add_(0, pair, pooled * labelled[:, None])
        on_batch(len(batch))
    counts = ranks.all_reduce(counts).cpu()
    seen = torch.nonzero(counts)[:, 0]
    if not len(seen):
        raise UserError(f"{key}: no segment of {task!r} in the train split has both a verb and a noun label")
    rows = {name: (ranks.all_reduce(own).cpu()[seen] / counts[seen, None]).float() for name, own in sums.items()}
    return Prototypes(rows, verb=seen // nouns, noun=seen % nouns)


def save_prototypes(path: Path | str, prototypes: Prototypes) -> None:
    """Write prototypes as safetensors: `rows.<task>`, `verb`, `noun`; UserError where one is not finite."""
    tensors = {f"rows.{name}": rows for name, rows in prototypes.rows.items()} | {
        "verb": prototypes.verb,
        "noun": prototypes.noun,
    }
    check_finite(path, tensors)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors))  # save_file tells of a full disk by an error that is no OSError


def load_prototypes(path: Path | str) -> Prototypes:
    """Read what `save_prototypes` wrote; a UserError says what is wrong with the file."""
    try:
        tensors = read_tensors(Path(path))
        check_finite(path, tensors)
        rows = {name.removeprefix("rows."): value for name, value in tensors.items() if name.startswith("rows.")}
        verb, noun = tensors["verb"], tensors["noun"]
        if any(value.ndim != 2 for value in rows.values()) or verb.ndim != 1 or verb.shape != noun.shape:
            raise ValueError("rows are no tables, or labels no rows of them")
        if any(len(value) != len(verb) for value in rows.values()):
            raise ValueError("rows and labels of different number")
        return Prototypes(rows, verb, noun)
    except (FileNotFoundError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a whole file of prototypes: {error}") from None
