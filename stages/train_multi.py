"""Train one backbone with all tasks of a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stages._common import PARAMS, SAMPLES, SHARDS, ended, pack_members, training_of
from stages._inputs import NUMERICS, Reads, load
from stages._ranks import SharedStage

if TYPE_CHECKING:
    from egopack.runtime.ranks import Ranks

READS = Reads(
    (
        *(*NUMERICS, "data.features", "backbone", "multi", "packs.{pack}"),
        *("tasks.{members}.levels", "tasks.{members}.samples", "tasks.{members}.model"),
    ),
    tasks=("{members}",),
    each="packs",
    optional={"egopack.evaluation.evaluate.headlines": "multi.extras.evaluate_every"},
)


@click.command(cls=SharedStage)
@click.argument("pack")
@click.pass_obj
def main(ranks: Ranks, pack: str) -> str | None:
    """Train the backbone with all tasks of PACK together, as `multi` in params.yaml says.

    Reads data/shards, data/samples; writes data/models/multi/PACK and metrics/curves/multi/PACK.csv.
    """
    params = load(READS)
    from egopack.data.shard_reader import FeatureShards
    from egopack.data.splits import count_classes
    from egopack.model.regimes import multi_network
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task
    from egopack.training.loaders import multi_loaders
    from egopack.training.run import samples_of

    device = set_up(params.runtime, params.seed)
    features, how = FeatureShards(SHARDS), params.multi
    blocks = {task: check_task(task, params.tasks[task], PARAMS) for task in pack_members(params, pack)}
    labels = {task: count_classes(SAMPLES / task) for task in blocks}
    network = multi_network(features.width, params.backbone, blocks, labels, how.levels)
    samples = {task: samples_of(SAMPLES / task, how) for task in blocks}
    radius_s = params.backbone.radius_s
    loaders = multi_loaders(blocks, samples, features, how.base_batch, radius_s=radius_s, seed=params.seed)
    training = training_of(f"multi/{pack}", network, how, params, device, ranks, pack)
    return ended(training, training.run(loaders))


if __name__ == "__main__":
    main()
