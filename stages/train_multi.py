"""Train one backbone with all tasks of a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stages.common import PACKS, SHARDS, load, start
from stages.ranks import SharedStage

if TYPE_CHECKING:
    from egopack.training.distributed import Ranks


@click.command(cls=SharedStage)
@click.argument("pack")
@click.pass_obj
def main(ranks: Ranks, pack: str) -> None:
    """Train the backbone with all tasks of PACK together, as `multi` in params.yaml says.

    Reads data/shards, data/samples and data/packs; writes data/models/multi/PACK and metrics/curves/multi/PACK.csv.
    """
    params = load()
    from egopack.data.shard_reader import FeatureShards
    from egopack.files import read_json
    from egopack.tasks.base import load_task
    from egopack.training.regimes import multi_batch_sizes, multi_network, train_loader
    from stages.training import Training, samples_of

    device = start(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    members = read_json(PACKS / f"{pack}.train.json")
    setups = {
        name: (load_task(name).Params.model_validate(one["params"]), one["labels"]) for name, one in members.items()
    }
    samples = {name: samples_of(name, params.multi) for name in members}
    sizes = multi_batch_sizes({name: len(of) for name, of in samples.items()}, params.multi.base_batch)
    network = multi_network(features.width, params.backbone, setups, params.multi.levels)
    radius_s = params.backbone.radius_s
    loaders = {
        name: train_loader(
            name, setup[0], samples[name], features, batch_size=sizes[name], radius_s=radius_s, seed=params.seed
        )
        for name, setup in setups.items()
    }
    Training(f"multi/{pack}", network, params.multi, params, device, ranks).run(loaders)


if __name__ == "__main__":
    main()
