"""Note what the raw data and named checkpoints are, so that a changed file reruns what depends on it."""

from __future__ import annotations

import click

from stages._common import MANIFEST, PARAMS, SCRATCH, SPLIT, Stage, load_all, original, raw_root, start_folder


@click.command(cls=Stage)
def main() -> str:
    """Write data/manifest: names, sizes and checksums of the raw files, never where they are; and data/split.csv where
    the videos of a table have no split: those that are in it keep theirs.

    The same is noted of every checkpoint that params.yaml names as `extras.start_from` of a training. The raw root is
    $EGO4D_ROOT, else `data.root` in params.yaml. Fails with a list when a file is missing. Every file is read whole,
    once: what has the same size, inode and times as before is not read again.
    """
    params = load_all()
    tell_what_differs(params.runtime.reproducible)
    from egopack.checksums import NOTE, Checksums
    from egopack.files import write_json_files
    from egopack.footage.sources import drawn_splits, manifests, named_sources
    from egopack.footage.splits import read_splits, write_splits
    from egopack.model import initial_weights
    from egopack.runtime.progress import counting, progress

    begins = initial_weights.initial_checkpoints(params)
    folders = {training: None if folder is None else start_folder(folder) for training, folder in begins.items()}
    data = params.data
    sources = named_sources(data, {task: block.annotations for task, block in params.tasks.items()}, PARAMS)
    root = raw_root(params)
    with progress(0, "checksums", "file") as bar, Checksums(original(SCRATCH) / NOTE) as checksums:
        splits = drawn_splits(data, root, sources, read_splits(SPLIT))
        found = manifests(data, root, sources, splits, checksums, counting(bar))
    if splits:
        write_splits(SPLIT, splits)
    begun = {f"start_from/{name}": initial_weights.fingerprint(folder) for name, folder in folders.items()}
    write_json_files(MANIFEST, found | begun)
    return f"{MANIFEST}: {', '.join(found)}"


def tell_what_differs(reproducible: str) -> None:
    """Say so where a promise of params.yaml cannot be kept; here alone, since this stage runs once in every run."""
    from egopack.runtime.reproducible import ANYWHERE, obstacle

    if reproducible == ANYWHERE and (why := obstacle()):
        click.echo(
            f"{PARAMS}: runtime.reproducible: anywhere: {why}; results will differ a little from other machines'",
            err=True,
        )


if __name__ == "__main__":
    main()
