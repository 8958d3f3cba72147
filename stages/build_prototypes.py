"""Build the prototypes of a pack."""

from __future__ import annotations

import click

from stages.common import MODELS, PROTOTYPES, SAMPLES, SHARDS, Stage, load, progress, start


@click.command(cls=Stage)
@click.argument("pack")
def main(pack: str) -> None:
    """Average what every task of PACK makes of each (verb, noun) pair of the AR training split.

    Reads data/models/multi/PACK, data/samples/ar and data/shards; writes data/prototypes/PACK.safetensors.
    """
    params = load()
    from egopack.data.loader import Loader
    from egopack.data.shard_reader import FeatureShards
    from egopack.indexing import read_labels, read_split
    from egopack.training.checkpoint import load_checkpoint
    from egopack.training.prototypes import build_prototypes, save_prototypes

    device = start(params.runtime, params.seed)
    network = load_checkpoint(MODELS / "multi" / pack)
    samples, labels = read_split(SAMPLES / "ar", "train"), read_labels(SAMPLES / "ar")
    loader = Loader(samples, FeatureShards(SHARDS), batch_size=8, levels=1, radius_s=network.spec.backbone.radius_s)
    with progress(len(samples), f"prototypes {pack}", "clip") as bar:
        verbs, nouns = len(labels["verbs"]), len(labels["nouns"])
        built = build_prototypes(network, loader, verbs=verbs, nouns=nouns, device=device, on_batch=bar.update)
    save_prototypes(PROTOTYPES / f"{pack}.safetensors", built)
    click.echo(f"{pack}: {len(built.verb)} prototypes of each of {', '.join(built.rows)}")


if __name__ == "__main__":
    main()
