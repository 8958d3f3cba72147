"""Score a task trained alone, and chance on the same data."""

from __future__ import annotations

import click

from stages.common import METRICS, MODELS, PARAMS, SAMPLES, Stage, load, start


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> None:
    """Score TASK trained alone on the validation split.

    Writes data/predictions/single/TASK.parquet, metrics/single/TASK.json and, for what knows only the labels'
    frequencies, metrics/chance/TASK.json.
    """
    params = load()
    import numpy as np

    from egopack.evaluation.predict import rounded
    from egopack.files import write_json
    from egopack.indexing import read_labels, read_split
    from egopack.tasks.base import check_task
    from egopack.training.checkpoint import load_checkpoint
    from stages.evaluation import evaluate

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = start(params.runtime, params.seed)
    scores = evaluate(
        load_checkpoint(MODELS / "single" / task), task, block.decode, params.seed, device, f"single/{task}"
    )
    write_json(METRICS / "single" / f"{task}.json", scores)
    folder = SAMPLES / task
    samples, labels = read_split(folder, "val"), read_labels(folder)
    guessed = block.task.chance(read_split(folder, "train"), samples, labels, np.random.default_rng(params.seed))
    write_json(METRICS / "chance" / f"{task}.json", rounded(block.task.score(guessed, samples, labels)))


if __name__ == "__main__":
    main()
