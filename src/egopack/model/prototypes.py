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
from egopack.labels import UNLABELLED
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
    """Average each support task's neck on the level-0 nodes over every segment of the loader, by (verb, noun) pair; by
    verb or noun alone where no segment has the other.

    The network is used in evaluation mode. Segments that lack a label take no part, pairs without a segment have no
    row. Ranks take turns at the batches.

    Raises:
        UserError: samples of this `task` have no segments with verbs and nouns, or no prototype comes of them.
    """
    key = "params.yaml: prototypes.task"
    if not all(one.segments is not None and {"verbs", "nouns"} <= one.targets.keys() for one in loader.samples):
        raise UserError(
            f"{key}: samples of {task!r} have no segments with a verb and a noun each; name a task that has them"
        )
    verbs, nouns = (
        size if any((one.targets[kind] >= 0).any() for one in loader.samples) else 0
        for kind, size in (("verbs", verbs), ("nouns", nouns))
    )
    if not verbs and not nouns:
        raise UserError(f"{key}: no segment of {task!r} in the train split has a verb or a noun label")
    network.to(device).eval()
    pairs = max(verbs, 1) * max(nouns, 1)
    counts = torch.zeros(pairs, dtype=torch.float64)  # on the host, which adds in a fixed order
    sums = {name: counts.new_zeros(pairs, network.head(name).neck.size) for name in network.task}
    for batch, _ in loader.epoch(first=ranks.rank, every=ranks.world):
        batch = batch.to(device)
        assert batch.segment_nodes is not None
        nodes = network.backbone(batch.x, batch.pyramid[:1])[0]
        verb, noun = (batch.targets[kind] if size else None for kind, size in (("verbs", verbs), ("nouns", nouns)))
        pair, labelled = _pairs(verb, noun, nouns)
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
    unknown = torch.full_like(seen, UNLABELLED)
    return Prototypes(rows, seen // max(nouns, 1) if verbs else unknown, seen % nouns if nouns else unknown)


def _pairs(verb: Tensor | None, noun: Tensor | None, nouns: int) -> tuple[Tensor, Tensor]:
    """Of each segment its pair, verb-major, and whether it has one (0.0 or 1.0), on the host; of verbs or nouns alone
    the other is None.
    """
    given = [label.cpu() for label in (verb, noun) if label is not None]
    labelled = torch.stack([label >= 0 for label in given]).all(dim=0).double()
    first, *second = (label.clamp(min=0) for label in given)
    return (first * nouns + second[0] if second else first), labelled


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
