"""Index the samples of a task."""

from __future__ import annotations

import click

from stages._common import PARAMS, SAMPLES, VIDEOS, Stage, raw_root
from stages._inputs import Reads, load

READS = Reads(
    ("data.version", "data.features", "data.tolerate", "tasks.{task}.annotations", "tasks.{task}.samples"),
    tasks=("{task}",),
    each="tasks",
)


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> None:
    """Write data/samples/TASK: which rows of which video each sample of each split holds, and its targets.

    Skipped items are counted and named in report.json.
    """
    params = load(READS)
    from egopack.data.shard_reader import video_lengths
    from egopack.ego4d.annotations import Annotations
    from egopack.preparation.index import index_task
    from egopack.tasks.base import check_task, load_task

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    annotations = Annotations(raw_root(params), params.data.version)
    report = index_task(
        task,
        load_task(task),
        block,
        annotations,
        video_lengths(VIDEOS),
        params.data.features,
        SAMPLES / task,
        params.data.tolerate,
    )
    click.echo(f"{SAMPLES / task}: " + ", ".join(f"{part['samples']} {split}" for split, part in report.items()))


if __name__ == "__main__":
    main()
