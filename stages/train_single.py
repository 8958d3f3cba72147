"""Train the backbone and one task."""

from __future__ import annotations

import click

from stages.common import METRICS, MODELS, PARAMS, SAMPLES, SHARDS, Stage, load, start


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> None:
    """Train the backbone with TASK alone, as tasks.TASK.train in params.yaml says.

    Reads data/shards and data/samples/TASK; writes data/models/single/TASK and the curves
    metrics/curves/single/TASK.csv.
    """
    params = load()
    from egopack.data.shard_reader import FeatureShards
    from egopack.indexing import read_labels, read_split
    from egopack.tasks.base import check_task
    from egopack.training.checkpoint import save_checkpoint
    from egopack.training.curves import write_curves
    from egopack.training.regimes import single_network, train_loader
    from stages.training import run

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = start(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    labels = {name: len(classes) for name, classes in read_labels(SAMPLES / task).items()}
    network = single_network(features.width, params.backbone, task, (block.params, labels))
    train = block.regimes.train
    loader = train_loader(
        task,
        block.params,
        read_split(SAMPLES / task, "train"),
        features,
        batch_size=train.batch_size,
        radius_s=params.backbone.radius_s,
        seed=params.seed,
    )
    reports = run(network, {task: loader}, train, device, f"single {task}")
    save_checkpoint(MODELS / "single" / task, network)
    write_curves(METRICS / "curves" / "single" / f"{task}.csv", reports)


if __name__ == "__main__":
    main()
