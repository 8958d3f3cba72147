"""Measure what there is to gain from a pack."""

from __future__ import annotations

import click

from stages._common import MODELS, PARAMS, SAMPLES, SHARDS, Stage, helper_of, load_all


@click.command(cls=Stage)
@click.argument("tasks", nargs=-1)
def main(tasks: tuple[str, ...]) -> None:
    """Print how well a linear map predicts TASKS, all that helped_by names if none is given, on the val split.

    Its features are the raw rows, those of a backbone that nothing trained, those of the task trained alone, and those
    of the pack that helps it, which has not seen the task's labels: its backbone, its necks, and these beside the raw
    rows. Where the necks do no better than the rest, no fusion of streams has anything to win. Beside them stand the
    scores of the trained networks.

    Reads data/models, data/samples, data/shards and metrics of the pipeline as it was run last; writes nothing.
    """
    params = load_all()
    from egopack.data.shard_reader import FeatureShards
    from egopack.data.splits import read_labels, read_split
    from egopack.evaluation.comparison import ARROWS
    from egopack.evaluation.probe import probed, representations
    from egopack.files import read_json
    from egopack.model.checkpoint import load_checkpoint
    from egopack.runtime.device import set_up
    from egopack.tasks.base import check_task
    from stages._common import METRICS

    set_up(params.runtime, params.seed)
    features, lines = FeatureShards(SHARDS), list[str]()
    for task in tasks or params.helped_by:
        block = check_task(task, params.tasks.get(task, {}), PARAMS)
        helper, _ = helper_of(params, task)
        single, pack = load_checkpoint(MODELS / "single" / task), load_checkpoint(MODELS / "multi" / helper)
        samples = {split: read_split(SAMPLES / task, split) for split in ("train", "val")}
        labels, made = read_labels(SAMPLES / task), representations(task, single, pack)
        scores = {
            name: probed(make, single, task, samples, features, labels, block.decode, params.seed)
            for name, make in made.items()
        }
        whole = {regime: METRICS / regime / f"{task}.json" for regime in ("single", "egopack")}
        scores |= {f"{name} whole": read_json(path) for name, path in whole.items() if path.exists()}
        if not lines:
            lines += [f"| linear map on | {' | '.join(scores)} |", "| --- " * (len(scores) + 1) + "|"]
        for metric, better in single.head(task).headline.items():
            cells = [one.get(metric) for one in scores.values()]
            shown = " | ".join("undefined" if cell is None else f"{cell:.4g}" for cell in cells)
            lines.append(f"| {task.upper()} {metric} {ARROWS[better]} | {shown} |")
            click.echo("\n".join(lines) if len(lines) == 3 else lines[-1])


if __name__ == "__main__":
    main()
