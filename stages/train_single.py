"""Train the backbone and one task."""

from __future__ import annotations

import click

from stages.common import PARAMS, SAMPLES, SHARDS, Stage, load, start


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> None:
    """Train the backbone with TASK alone, as tasks.TASK.train in params.yaml says.

    Reads data/shards and data/samples/TASK; writes data/models/single/TASK and the curves
    metrics/curves/single/TASK.csv.
    """
    params = load()
    from egopack.data.shard_reader import FeatureShards
    from egopack.indexing import read_labels
    from egopack.tasks.base import check_task
    from egopack.training.regimes import single_network, train_loader
    from stages.training import run, samples_of

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = start(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    labels = {name: len(classes) for name, classes in read_labels(SAMPLES / task).items()}
    network = single_network(features.width, params.backbone, task, (block.params, labels))
    train = block.regimes.train
    loader = train_loader(
        task,
        block.params,
        samples_of(task, train),
        features,
        batch_size=train.batch_size,
        radius_s=params.backbone.radius_s,
        seed=params.seed,
    )
    run(network, {task: loader}, train, params, device, f"single/{task}")


if __name__ == "__main__":
    main()
