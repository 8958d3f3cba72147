"""Score a novel task that a pack helped."""

from __future__ import annotations

import click

from stages._common import METRICS, MODELS, PARAMS, PREDICTIONS, SAMPLES, SHARDS, Stage
from stages._inputs import Reads, load

READS = Reads(("seed", "runtime.reproducible", "tasks.{task}.decode"), tasks=("{task}",), each="helped_by")


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> None:
    """Score TASK, trained with the help of its pack, on the validation split.

    Writes data/predictions/egopack/TASK.parquet and metrics/egopack/TASK.json.
    """
    params = load(READS)
    from egopack.data.shard_reader import FeatureShards
    from egopack.evaluation.evaluate import evaluate
    from egopack.files import write_json
    from egopack.model.checkpoint import load_checkpoint
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = set_up(params.runtime, params.seed)
    scores = evaluate(
        load_checkpoint(MODELS / "egopack" / task),
        task,
        block.decode,
        SAMPLES / task,
        FeatureShards(SHARDS),
        PREDICTIONS / "egopack" / f"{task}.parquet",
        name=f"egopack/{task}",
        seed=params.seed,
        device=device,
    )
    write_json(METRICS / "egopack" / f"{task}.json", scores)


if __name__ == "__main__":
    main()
