"""Train one backbone with all tasks of a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stages._common import PACKS, SAMPLES, SHARDS, folders, initial_folder, load
from stages._ranks import SharedStage

if TYPE_CHECKING:
    from egopack.runtime.ranks import Ranks


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
    from egopack.model.regimes import multi_network
    from egopack.runtime.device import set_up
    from egopack.tasks.base import load_task
    from egopack.training.loaders import multi_batch_sizes, train_loader
    from egopack.training.run import Training, samples_of

    name = f"multi/{pack}"
    device = set_up(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    members = read_json(PACKS / f"{pack}.train.json")
    setups = {
        task: (load_task(task).Params.model_validate(one["params"]), one["labels"]) for task, one in members.items()
    }
    samples = {task: samples_of(SAMPLES / task, params.multi) for task in members}
    sizes = multi_batch_sizes({task: len(of) for task, of in samples.items()}, params.multi.base_batch)
    network = multi_network(features.width, params.backbone, setups, params.multi.levels)
    radius_s = params.backbone.radius_s
    loaders = {
        task: train_loader(
            task, setup[0], samples[task], features, batch_size=sizes[task], radius_s=radius_s, seed=params.seed
        )
        for task, setup in setups.items()
    }
    training = Training(
        name, network, params.multi, params.runtime, params.seed, device, ranks, folders(), initial_folder(params, name)
    )
    training.run(loaders)


if __name__ == "__main__":
    main()
