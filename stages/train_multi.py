"""Train one backbone with all tasks of a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stages._common import PARAMS, SAMPLES, SHARDS, folders, initial_folder, pack_members
from stages._inputs import Reads, load
from stages._ranks import SharedStage

if TYPE_CHECKING:
    from egopack.runtime.ranks import Ranks

READS = Reads(
    (
        *("seed", "runtime.reproducible", "runtime.precision", "runtime.compile"),
        *("backbone", "multi", "packs.{pack}"),
        *("tasks.{members}.levels", "tasks.{members}.samples", "tasks.{members}.model"),
    ),
    tasks=("{members}",),
    each="packs",
    optional={"egopack.evaluation.evaluate.headlines": "multi.extras.evaluate_every"},
)


@click.command(cls=SharedStage)
@click.argument("pack")
@click.pass_obj
def main(ranks: Ranks, pack: str) -> None:
    """Train the backbone with all tasks of PACK together, as `multi` in params.yaml says.

    Reads data/shards, data/samples; writes data/models/multi/PACK and metrics/curves/multi/PACK.csv.
    """
    params = load(READS)
    from egopack.data.shard_reader import FeatureShards
    from egopack.data.splits import read_labels
    from egopack.model.regimes import multi_network
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task
    from egopack.training.loaders import multi_batch_sizes, train_loader
    from egopack.training.run import Training, samples_of

    name = f"multi/{pack}"
    device = set_up(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    setups = {}
    for task in pack_members(params, pack):
        labels = {key: len(classes) for key, classes in read_labels(SAMPLES / task).items()}
        setups[task] = (check_task(task, params.tasks[task], PARAMS).params, labels)
    samples = {task: samples_of(SAMPLES / task, params.multi) for task in setups}
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
        name,
        network,
        params.multi,
        params.runtime,
        params.seed,
        device,
        ranks,
        folders(),
        initial_folder(params.multi, pack),
    )
    training.run(loaders)


if __name__ == "__main__":
    main()
