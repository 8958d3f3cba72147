"""Let the task alone, EgoPack and its pack answer together."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from stages._common import ENSEMBLE, MODELS, PARAMS, SAMPLES, SHARDS, Stage, helper_of, load_all

if TYPE_CHECKING:
    from egopack.model.network import Network


@click.command(cls=Stage)
@click.argument("tasks", nargs=-1)
def main(tasks: tuple[str, ...]) -> None:
    """Score TASKS, all that helped_by names if none is given, by three that answer as one on the validation split: the
    task alone, EgoPack, and a linear map on the frozen necks of the pack, which is fitted here to the training split.

    Reads data/models, data/samples and data/shards of the pipeline as it was run last; writes
    data/ensemble/TASK.parquet, the predictions, and data/ensemble/TASK.json, the scores.
    """
    params = load_all()
    from egopack.data.shard_reader import FeatureShards
    from egopack.data.splits import read_split
    from egopack.evaluation.ensemble import second_opinion
    from egopack.evaluation.evaluate import evaluate, in_words
    from egopack.files import write_json
    from egopack.model.checkpoint import load_checkpoint
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task

    device = set_up(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    for task in tasks or params.helped_by:
        block = check_task(task, params.tasks.get(task, {}), PARAMS)
        helper, _ = helper_of(params, task)
        single, novel, pack = (
            load_checkpoint(MODELS / name) for name in (f"single/{task}", f"egopack/{task}", f"multi/{helper}")
        )
        together = second_opinion(task, single, novel, pack, read_split(SAMPLES / task, "train"), features, params.seed)
        out = ENSEMBLE / f"{task}.parquet"
        scores = evaluate(
            cast("Network", together),  # all that is asked of one, it can
            task,
            block.decode,
            SAMPLES / task,
            features,
            out,
            name=f"ensemble/{task}",
            seed=params.seed,
            device=device,
        )
        write_json(ENSEMBLE / f"{task}.json", scores)
        click.echo(f"{out}: {in_words(task, scores)}")


if __name__ == "__main__":
    main()
