"""Check the raw data before anything is trained on it."""

from __future__ import annotations

from pathlib import Path

import click

from stages._common import MANIFEST, PARAMS, SCRATCH, SPLIT, Stage, load_all, original, raw_root


@click.command(cls=Stage)
@click.option(
    "--root", type=click.Path(path_type=Path), help="Check this copy of the raw data, not the one of params.yaml."
)
@click.option("--rows", is_flag=True, help="Read every feature row too, to find NaN and Inf (slow: all of the files).")
@click.option("--full", is_flag=True, help="Read every file whole too, and compare with data/manifest (slow as well).")
@click.option("--annotations", is_flag=True, help="Tell a new task's author what can be read, and check nothing.")
def main(root: Path | None, rows: bool, full: bool, annotations: bool) -> None:
    """Print what the raw data holds, and what would be left out and why, before anything runs.

    For each feature set: files found, videos that the annotations name and that have none, files of a wrong width,
    damaged files. For each task and split: what the annotation file lists, the samples made of it, items skipped by
    reason with examples. Exit status 1 if a task of params.yaml would have nothing to train on or to validate with, or
    if a file cannot be trusted or read. --full finds what size and times of a file do not tell: that its content is not
    what was fingerprinted; the checksums are remembered, so that the next run takes notice.

    Of footage of one's own a second table tells which tasks are possible, and of every set of classes how many segments
    each class has.

    The raw root is --root, else $EGO4D_ROOT ($EPIC_ROOT, $FOOTAGE_ROOT by `data.source`), else `data.root` in
    params.yaml. Nothing else is written.
    """
    params = load_all()
    from egopack.checksums import NOTE, Checksums
    from egopack.footage.overview import overview
    from egopack.footage.splits import read_splits
    from egopack.preparation.check import check_content, check_data, table
    from egopack.preparation.readable import readable
    from egopack.runtime.progress import counting, progress
    from egopack.tasks.base import check_task

    if annotations:
        click.echo(readable(params.data), nl=False)
        return
    data, folder = params.data, raw_root(params, root)
    blocks = {name: check_task(name, block, PARAMS) for name, block in params.tasks.items()}
    storage = data.storage if rows else None
    with progress(0, "rows", "video") as bar:
        told = counting(bar)
        splits = read_splits(SPLIT)
        report, problems = check_data(
            folder, data, blocks, splits, budgets=params.labelled, storage=storage, progress=told
        )
    if full:
        with progress(0, "checksums", "file") as bar, Checksums(original(SCRATCH) / NOTE, again=True) as read:
            problems += check_content(folder, data, blocks, MANIFEST, read, counting(bar))
    title = data.version if data.source == "ego4d" else data.source
    click.echo(f"{folder}, {title}\n\n{table(report)}{overview(data, folder, splits)}", nl=False)
    for problem in dict.fromkeys(problems):
        click.echo(f"Error: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
