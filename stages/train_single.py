"""Train the backbone and one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stages._common import PARAMS, SAMPLES, SHARDS, ended, training_of
from stages._inputs import NUMERICS, Reads, load
from stages._ranks import SharedStage

if TYPE_CHECKING:
    from egopack.runtime.ranks import Ranks

READS = Reads(
    (
        *(*NUMERICS, "data.features", "backbone", "tasks.{task}.levels"),
        *("tasks.{task}.samples", "tasks.{task}.model", "tasks.{task}.train"),
    ),
    tasks=("{task}",),
    each="tasks",
    optional={"egopack.evaluation.evaluate.headlines": "tasks.{task}.train.extras.evaluate_every"},
)


@click.command(cls=SharedStage)
@click.argument("task")
@click.pass_obj
def main(ranks: Ranks, task: str) -> str | None:
    """Train the backbone with TASK alone, as tasks.TASK.train in params.yaml says.

    Reads data/shards and data/samples/TASK; writes data/models/single/TASK and the curves
    metrics/curves/single/TASK.csv.
    """
    params = load(READS)
    from egopack.data.shard_reader import FeatureShards
    from egopack.data.splits import count_classes
    from egopack.model.regimes import single_network
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = set_up(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    labels = count_classes(SAMPLES / task)
    network = single_network(features.width, params.backbone, task, block, labels)
    how = block.train
    training = training_of(f"single/{task}", network, how, params, device, ranks)
    return ended(training, training.run_alone(task, how.batch_size, features))


if __name__ == "__main__":
    main()
