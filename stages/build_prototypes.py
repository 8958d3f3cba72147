"""Build the prototypes of a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stages._common import MODELS, PROTOTYPES, SAMPLES, SHARDS
from stages._inputs import Reads, load
from stages._ranks import SharedStage

if TYPE_CHECKING:
    from egopack.runtime.ranks import Ranks

READS = Reads(("runtime.reproducible", "prototypes", "packs.{pack}"), built=("{members}",), each="packs")


@click.command(cls=SharedStage)
@click.argument("pack")
@click.pass_obj
def main(ranks: Ranks, pack: str) -> str:
    """Average what every task of PACK makes of each (verb, noun) pair that the training split of `prototypes.task` has.

    Reads data/models/multi/PACK, data/samples/<that task> and data/shards; writes data/prototypes/PACK.safetensors.
    """
    params = load(READS)
    from egopack.data.loader import Loader
    from egopack.data.shard_reader import FeatureShards
    from egopack.data.splits import read_labels, read_split
    from egopack.model.checkpoint import load_checkpoint
    from egopack.model.prototypes import build_prototypes, save_prototypes
    from egopack.runtime.device import set_up
    from egopack.runtime.progress import progress

    device = set_up(params.runtime)
    network = load_checkpoint(MODELS / "multi" / pack)
    task = params.prototypes.task
    samples, labels = read_split(SAMPLES / task, "train"), read_labels(SAMPLES / task)
    loader = Loader(samples, FeatureShards(SHARDS), batch_size=8, levels=1, radius_s=network.spec.backbone.radius_s)
    verbs, nouns = (len(labels.get(part, ())) for part in ("verbs", "nouns"))
    with progress(len(samples) // ranks.world, f"prototypes {pack}", "clip", silent=not ranks.is_main) as bar:
        built = build_prototypes(
            network, loader, verbs=verbs, nouns=nouns, device=device, task=task, on_batch=bar.update, ranks=ranks
        )
    if ranks.is_main:
        save_prototypes(PROTOTYPES / f"{pack}.safetensors", built)
    return f"{PROTOTYPES / pack}.safetensors: {len(built.verb)} of each of {', '.join(built.rows)}"


if __name__ == "__main__":
    main()
