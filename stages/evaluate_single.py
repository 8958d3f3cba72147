"""Score a task trained alone, and chance on the same data."""

from __future__ import annotations

import click

from stages._common import METRICS, MODELS, PARAMS, PREDICTIONS, SAMPLES, SHARDS, Stage, keep
from stages._inputs import Reads, load

READS = Reads(("seed", "runtime.reproducible", "tasks.{task}.decode"), tasks=("{task}",), each="tasks")


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> str:
    """Score TASK trained alone on the validation split.

    Writes data/predictions/single/TASK.parquet, metrics/single/TASK.json and, for what knows only the labels'
    frequencies, metrics/chance/TASK.json.
    """
    params = load(READS)
    import numpy as np

    from egopack.data.shard_reader import FeatureShards
    from egopack.data.splits import read_labels, read_split
    from egopack.evaluation.evaluate import evaluate, in_words
    from egopack.evaluation.predict import rounded
    from egopack.files import write_json
    from egopack.model.checkpoint import load_checkpoint
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task, load_task

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = set_up(params.runtime, params.seed)
    folder = SAMPLES / task
    scores = evaluate(
        load_checkpoint(MODELS / "single" / task),
        task,
        block.decode,
        folder,
        FeatureShards(SHARDS),
        PREDICTIONS / "single" / f"{task}.parquet",
        name=f"single/{task}",
        seed=params.seed,
        device=device,
    )
    own, chance = METRICS / "single" / f"{task}.json", METRICS / "chance" / f"{task}.json"
    write_json(own, scores)
    samples, labels = read_split(folder, "val"), read_labels(folder)
    kind = load_task(task)
    guessed = kind.chance(read_split(folder, "train"), samples, labels, np.random.default_rng(params.seed))
    write_json(chance, rounded(kind.score(guessed, samples, labels)))
    keep(own, chance)
    return f"{PREDICTIONS / 'single' / task}.parquet: {in_words(task, scores)}"


if __name__ == "__main__":
    main()
