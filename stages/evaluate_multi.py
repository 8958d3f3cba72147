"""Score every task of a pack."""

from __future__ import annotations

import click

from stages._common import METRICS, MODELS, PACKS, PREDICTIONS, SAMPLES, SHARDS, Stage, load


@click.command(cls=Stage)
@click.argument("pack")
def main(pack: str) -> None:
    """Score every task of PACK on the validation split.

    Writes data/predictions/multi/PACK/<task>.parquet and metrics/multi/PACK.json.
    """
    params = load()
    from egopack.data.shard_reader import FeatureShards
    from egopack.evaluation.evaluate import evaluate
    from egopack.files import read_json, write_json
    from egopack.model.checkpoint import load_checkpoint
    from egopack.runtime.device import set_up
    from egopack.tasks.base import load_task

    device = set_up(params.runtime, params.seed)
    network = load_checkpoint(MODELS / "multi" / pack)
    features, scores = FeatureShards(SHARDS), {}
    for task, one in read_json(PACKS / f"{pack}.evaluate.json").items():
        decode = load_task(task).Decode.model_validate(one["decode"])
        scores[task] = evaluate(
            network,
            task,
            decode,
            SAMPLES / task,
            features,
            PREDICTIONS / "multi" / pack / f"{task}.parquet",
            name=f"multi/{pack}/{task}",
            seed=params.seed,
            device=device,
        )
    write_json(METRICS / "multi" / f"{pack}.json", scores)


if __name__ == "__main__":
    main()
