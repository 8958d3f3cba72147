"""Check the raw data before anything is trained on it."""

from __future__ import annotations

from pathlib import Path

import click

from stages._common import PARAMS, Stage, load_all, raw_root


@click.command(cls=Stage)
@click.option("--root", type=click.Path(path_type=Path), help="Check this copy of Ego4D, not the one of params.yaml.")
@click.option("--rows", is_flag=True, help="Read every feature row too, to find NaN and Inf (slow: all of the files).")
def main(root: Path | None, rows: bool) -> None:
    """Print what the raw data holds, and what would be left out and why, before anything runs.

    For each feature set: files found, videos that the annotations name and that have none, files of a wrong width,
    damaged files. For each task and split: what the annotation file lists, the samples made of it, items skipped by
    reason with examples. Exit status 1 if a task of params.yaml would have nothing to train on or to validate with, or
    if a file cannot be trusted.

    The raw root is --root, else $EGO4D_ROOT, else `data.root` in params.yaml. Nothing is written.
    """
    params = load_all()
    from egopack.preparation.check import check_data, table
    from egopack.runtime.progress import progress
    from egopack.tasks.base import check_task

    data, folder = params.data, raw_root(params, root)
    blocks = {name: check_task(name, block, PARAMS) for name, block in params.tasks.items()}
    with progress(0, "rows", "video") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        storage = data.storage if rows else None
        report, problems = check_data(folder, data.version, data.features, blocks, storage=storage, progress=show)
    click.echo(f"{folder}, {data.version}\n\n{table(report)}", nl=False)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
