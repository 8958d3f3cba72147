"""Answer a task's challenge."""

from __future__ import annotations

from pathlib import Path

import click

from stages._common import MODELS, PARAMS, SAMPLES, SHARDS, SUBMISSIONS, Stage, load_all, raw_root


@click.command(cls=Stage)
@click.argument("task")
@click.option("--model", type=click.Path(path_type=Path), help="Predict by it; data/models/egopack/TASK, or single.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; data/submissions/TASK.json.")
def main(task: str, model: Path | None, out: Path | None) -> None:
    """Write the challenge file of TASK (lta, oscc, pnr, mq) for the unannotated split.

    It is checked by JSON schema, and against the split's annotation file: every key that it asks for is there, and no
    other. Decoding is that of tasks.TASK.decode. `dvc repro` does not run this.

    Challenges may be answered by a model that has seen the validation split too:

    \b
      dvc exp run -S tasks.mq.egopack.extras.train_on_val=true train_egopack@mq
      python -m stages.submit mq
    """
    params = load_all()
    from egopack.data.shard_reader import FeatureShards
    from egopack.errors import UserError
    from egopack.evaluation.submit import submit
    from egopack.model.checkpoint import load_checkpoint
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task

    if params.data.source != "ego4d":
        raise UserError(f"{PARAMS}: data.source: these are Ego4D's challenges; python -m stages.epic answers epic's")
    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = set_up(params.runtime, params.seed)
    target = out or SUBMISSIONS / f"{task}.json"
    trained = model or MODELS / ("egopack" if task in params.helped_by else "single") / task
    count = submit(
        load_checkpoint(trained),
        task,
        block.decode,
        SAMPLES / task,
        FeatureShards(SHARDS),
        raw_root(params),
        params.data.version,
        target,
        seed=params.seed,
        device=device,
    )
    click.echo(f"{target}: {count} entries, {target.stat().st_size / 1e6:.1f} MB, by {trained}")


if __name__ == "__main__":
    main()
