"""Train a novel task with the help of a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stages._common import MODELS, PARAMS, PROTOTYPES, SAMPLES, SHARDS, ended, helper_of, training_of
from stages._inputs import NUMERICS, Reads, load
from stages._ranks import SharedStage

if TYPE_CHECKING:
    from egopack.runtime.ranks import Ranks

READS = Reads(
    (
        *(*NUMERICS, "data.features", "interaction", "helped_by.{task}", "tasks.{task}.levels"),
        *("tasks.{task}.samples", "tasks.{task}.model", "tasks.{task}.egopack"),
    ),
    tasks=("{task}",),
    built=("{members}",),
    each="helped_by",
    optional={"egopack.evaluation.evaluate.headlines": "tasks.{task}.egopack.extras.evaluate_every"},
)


@click.command(cls=SharedStage)
@click.argument("task")
@click.pass_obj
def main(ranks: Ranks, task: str) -> str | None:
    """Train TASK from the pack that helped_by.TASK names, consulting its prototypes, as tasks.TASK.egopack says.

    Reads data/models/multi, data/prototypes, data/samples/TASK and data/shards; writes data/models/egopack/TASK and
    metrics/curves/egopack/TASK.csv.
    """
    params = load(READS)
    from egopack.data.shard_reader import FeatureShards
    from egopack.data.splits import count_classes
    from egopack.model.checkpoint import load_checkpoint
    from egopack.model.prototypes import load_prototypes
    from egopack.model.regimes import novel_network
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    device = set_up(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    labels = count_classes(SAMPLES / task)
    helper, how = helper_of(params, task)
    pack = load_checkpoint(MODELS / "multi" / helper)
    prototypes = load_prototypes(PROTOTYPES / f"{helper}.safetensors")
    left_out = how.extras.without
    network = novel_network(task, block, labels, pack, prototypes, params.interaction, left_out, params.seed)
    training = training_of(f"egopack/{task}", network, how, params, device, ranks)
    return ended(training, training.run_alone(task, how.batch_size, features))


if __name__ == "__main__":
    main()
