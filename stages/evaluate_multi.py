"""Score every task of a pack."""

from __future__ import annotations

import click

from stages.common import METRICS, MODELS, PACKS, Stage, load, start


@click.command(cls=Stage)
@click.argument("pack")
def main(pack: str) -> None:
    """Score every task of PACK on the validation split.

    Writes data/predictions/multi/PACK/<task>.parquet and metrics/multi/PACK.json.
    """
    params = load()
    from egopack.files import read_json, write_json
    from egopack.tasks.base import load_task
    from egopack.training.checkpoint import load_checkpoint
    from stages.evaluation import evaluate

    device = start(params.runtime, params.seed)
    network = load_checkpoint(MODELS / "multi" / pack)
    scores = {}
    for task, one in read_json(PACKS / f"{pack}.evaluate.json").items():
        decode = load_task(task).Decode.model_validate(one["decode"])
        scores[task] = evaluate(network, task, decode, params.seed, device, f"multi/{pack}/{task}")
    write_json(METRICS / "multi" / f"{pack}.json", scores)


if __name__ == "__main__":
    main()
