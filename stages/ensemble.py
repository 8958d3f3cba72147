"""Let the task alone, EgoPack and its pack answer together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from stages._common import ENSEMBLE, MODELS, PARAMS, SAMPLES, SHARDS, Stage, helper_of, load_all, training_of

if TYPE_CHECKING:
    import torch

    from egopack.data.shard_reader import FeatureShards
    from egopack.evaluation.ensemble import Ensemble
    from egopack.model.network import Network
    from egopack.params import Params
    from egopack.params.tasks import TaskBlock

APART = 1000  # between the seeds of trainings that differ by nothing else


@click.command(cls=Stage)
@click.argument("tasks", nargs=-1)
@click.option(
    "--alone",
    type=click.IntRange(min=2),
    help="In place of these so many trainings of the task alone, which differ by their seed: what averaging gains "
    "without a pack. All but the first are trained here.",
)
def main(tasks: tuple[str, ...], alone: int | None) -> None:
    """Score TASKS, all that helped_by names if none is given, by three that answer as one on the validation split: the
    task alone, EgoPack, and a linear map on the frozen necks of the pack, which is fitted here to the training split.

    Reads data/models, data/samples and data/shards of the pipeline as it was run last; writes
    data/ensemble/TASK.parquet, the predictions, data/ensemble/TASK.json, the scores, and data/ensemble/TASK, which
    predicts as any model does; with --alone scores and predictions under data/ensemble/alone.
    """
    params = load_all()
    from egopack.data.shard_reader import FeatureShards
    from egopack.evaluation.evaluate import evaluate, in_words
    from egopack.files import write_json
    from egopack.inference.ensemble import save_ensemble
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task

    device = set_up(params.runtime, params.seed)
    features = FeatureShards(SHARDS)
    folder = ENSEMBLE / "alone" if alone else ENSEMBLE
    for task in tasks or params.helped_by:
        block = check_task(task, params.tasks.get(task, {}), PARAMS)
        if alone:
            together = alone_together(task, block, alone, params, features, device)
        else:
            trained = members(task, params)
            together = with_pack(task, trained, params, features)
        out = folder / f"{task}.parquet"
        scores = evaluate(
            cast("Network", together),  # all that is asked of one, it can
            task,
            block.decode,
            SAMPLES / task,
            features,
            out,
            name=f"{folder.name}/{task}",
            seed=params.seed,
            device=device,
        )
        write_json(folder / f"{task}.json", scores)
        if not alone:
            save_ensemble(folder / task, task, together, trained, block.decode.model_dump(mode="json"), scores)
        click.echo(f"{out}: {in_words(task, scores)}")


def members(task: str, params: Params) -> dict[str, Path]:
    """The models of the task alone, EgoPack and its pack."""
    names = {"single": f"single/{task}", "egopack": f"egopack/{task}", "pack": f"multi/{helper_of(params, task)[0]}"}
    return {member: MODELS / name for member, name in names.items()}


def with_pack(task: str, trained: Mapping[str, Path], params: Params, features: FeatureShards) -> Ensemble:
    """These models as one."""
    from egopack.data.splits import read_split
    from egopack.evaluation.ensemble import second_opinion
    from egopack.model.checkpoint import load_checkpoint

    single, novel, pack = (load_checkpoint(trained[name]) for name in ("single", "egopack", "pack"))
    return second_opinion(task, single, novel, pack, read_split(SAMPLES / task, "train"), features, params.seed)


def alone_together(
    task: str, block: TaskBlock, count: int, params: Params, features: FeatureShards, device: torch.device
) -> Ensemble:
    """The model of the task alone, and trainings of the same with other seeds."""
    from egopack.data.splits import count_classes, read_split
    from egopack.evaluation.ensemble import alone_together
    from egopack.model.checkpoint import load_checkpoint
    from egopack.model.regimes import single_network
    from egopack.runtime.device import set_up
    from egopack.runtime.ranks import Ranks

    networks = [load_checkpoint(MODELS / "single" / task)]
    for number in range(1, count):
        other = params.model_copy(update={"seed": params.seed + number * APART})
        set_up(params.runtime, other.seed)
        network = single_network(features.width, params.backbone, task, block, count_classes(SAMPLES / task))
        name = f"alone/{task}/{number}"
        training = training_of(name, network, block.train, other, device, Ranks())
        own = replace(training.folders, models=ENSEMBLE / "models", curves=ENSEMBLE / "curves")
        click.echo(replace(training, folders=own).run_alone(task, block.train.batch_size, features))
        networks.append(load_checkpoint(ENSEMBLE / "models" / name))
    return alone_together(task, networks, read_split(SAMPLES / task, "train"), features)


if __name__ == "__main__":
    main()
