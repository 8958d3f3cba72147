"""Score a novel task that a pack helped."""

from __future__ import annotations

import click

from stages._common import CONSULTED, METRICS, MODELS, PARAMS, PREDICTIONS, SAMPLES, SHARDS, Stage, keep
from stages._inputs import Reads, load

READS = Reads(
    ("seed", "runtime.reproducible", "data.features", "tasks.{task}.decode"), tasks=("{task}",), each="helped_by"
)


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> str:
    """Score TASK, trained with the help of its pack, on the validation split.

    Writes data/predictions/egopack/TASK.parquet, metrics/egopack/TASK.json and, of the prototypes that it consulted,
    data/consulted/TASK.parquet.
    """
    params = load(READS)
    from egopack.data.grid import Grid
    from egopack.data.shard_reader import FeatureShards
    from egopack.evaluation.consulted import Consultations
    from egopack.evaluation.evaluate import evaluate, in_words
    from egopack.evaluation.predict import write_predictions
    from egopack.files import write_json
    from egopack.model.checkpoint import load_checkpoint
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = set_up(params.runtime, params.seed)
    network = load_checkpoint(MODELS / "egopack" / task)
    first = next(iter(params.data.features.values()))
    consulted = Consultations(network, Grid(first.stride, first.fps))
    scores = evaluate(
        network,
        task,
        block.decode,
        SAMPLES / task,
        FeatureShards(SHARDS),
        PREDICTIONS / "egopack" / f"{task}.parquet",
        name=f"egopack/{task}",
        seed=params.seed,
        device=device,
        watch=consulted.take,
    )
    write_predictions(CONSULTED / f"{task}.parquet", consulted.table())
    file = METRICS / "egopack" / f"{task}.json"
    write_json(file, scores)
    keep(file)
    return f"{PREDICTIONS / 'egopack' / task}.parquet: {in_words(task, scores)}"


if __name__ == "__main__":
    main()
