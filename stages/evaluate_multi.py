"""Score every task of a pack."""

from __future__ import annotations

import click

from stages._common import METRICS, MODELS, PARAMS, PREDICTIONS, SAMPLES, SHARDS, Stage, keep, pack_members
from stages._inputs import Reads, load

READS = Reads(
    ("seed", "runtime.reproducible", "packs.{pack}", "tasks.{members}.decode"), tasks=("{members}",), each="packs"
)


@click.command(cls=Stage)
@click.argument("pack")
def main(pack: str) -> str:
    """Score every task of PACK on the validation split.

    Writes data/predictions/multi/PACK/<task>.parquet and metrics/multi/PACK.json.
    """
    params = load(READS)
    from egopack.data.shard_reader import FeatureShards
    from egopack.evaluation.evaluate import evaluate, in_words
    from egopack.files import write_json
    from egopack.model.checkpoint import load_checkpoint
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task

    device = set_up(params.runtime, params.seed)
    network = load_checkpoint(MODELS / "multi" / pack)
    features, scores = FeatureShards(SHARDS), {}
    for task in pack_members(params, pack):
        decode = check_task(task, params.tasks[task], PARAMS).decode
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
    file = METRICS / "multi" / f"{pack}.json"
    write_json(file, scores)
    keep(file)
    told = (f"{task} {in_words(task, own)}" for task, own in scores.items())
    return f"{PREDICTIONS / 'multi' / pack}: {', '.join(told)}"


if __name__ == "__main__":
    main()
