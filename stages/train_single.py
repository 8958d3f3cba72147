"""Train the backbone and one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stages.common import PARAMS, SAMPLES, SHARDS, load, start
from stages.ranks import SharedStage

if TYPE_CHECKING:
    from egopack.training.distributed import Ranks


@click.command(cls=SharedStage)
@click.argument("task")
@click.pass_obj
def main(ranks: Ranks, task: str) -> None:
    """Train the backbone with TASK alone, as tasks.TASK.train in params.yaml says.

    Reads data/shards and data/samples/TASK; writes data/models/single/TASK and the curves
    metrics/curves/single/TASK.csv.
    """
    params = load()
    from egopack.data.shard_reader import FeatureShards
    from egopack.indexing import read_labels
    from egopack.tasks.base import check_task
    from egopack.training.regimes import single_network
    from stages.training import Training

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = start(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    labels = {name: len(classes) for name, classes in read_labels(SAMPLES / task).items()}
    network = single_network(features.width, params.backbone, task, (block.params, labels))
    how = block.regimes.train
    Training(f"single/{task}", network, how, params, device, ranks).run_alone(task, how.batch_size, features)


if __name__ == "__main__":
    main()
