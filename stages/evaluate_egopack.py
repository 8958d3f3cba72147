"""Score a novel task that a pack helped."""

from __future__ import annotations

import click

from stages.common import METRICS, MODELS, PARAMS, Stage, load, start


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> None:
    """Score TASK, trained with the help of its pack, on the validation split.

    Writes data/predictions/egopack/TASK.parquet and metrics/egopack/TASK.json.
    """
    params = load()
    from egopack.files import write_json
    from egopack.tasks.base import check_task
    from egopack.training.checkpoint import load_checkpoint
    from stages.evaluation import evaluate

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = start(params.runtime, params.seed)
    network = load_checkpoint(MODELS / "egopack" / task)
    write_json(
        METRICS / "egopack" / f"{task}.json",
        evaluate(network, task, block.decode, params.seed, device, f"egopack/{task}"),
    )


if __name__ == "__main__":
    main()
