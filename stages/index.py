"""Index the samples of a task."""

from __future__ import annotations

import click

from stages._common import PARAMS, SAMPLES, SPLIT, VIDEOS, Stage, raw_root
from stages._inputs import Reads, load

READS = Reads(
    (
        *("data.source", "data.version", "data.file", "data.split", "data.features", "data.tolerate"),
        *("tasks.{task}.annotations", "tasks.{task}.samples", "labelled.{task}"),
    ),
    tasks=("{task}",),
    each="tasks",
)


@click.command(cls=Stage)
@click.argument("task")
def main(task: str) -> str:
    """Write data/samples/TASK: which rows of which video each sample of each split holds, and its targets.

    Skipped items are counted and named in report.json.
    """
    params = load(READS)
    from egopack.data.shard_reader import video_lengths
    from egopack.footage.sources import open_annotations
    from egopack.footage.splits import read_splits
    from egopack.preparation.index import index_task, without_labels
    from egopack.tasks.base import check_task, load_task

    block = check_task(task, params.tasks.get(task, {}), PARAMS)
    rows = video_lengths(VIDEOS)
    annotations = open_annotations(params.data, raw_root(params), rows, read_splits(SPLIT))
    report = index_task(
        task,
        load_task(task),
        block,
        annotations,
        rows,
        params.data.features,
        SAMPLES / task,
        params.data.tolerate,
        params.labelled.get(task),
    )
    counts = (
        f"{part['samples']} {split}" + "".join(f" (no label for {kind})" for kind in without_labels(part))
        for split, part in report.items()
    )
    return f"{SAMPLES / task}: {', '.join(counts)}"


if __name__ == "__main__":
    main()
