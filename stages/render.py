"""Make features of annotations, to run the pipeline before there are any."""

from __future__ import annotations

from pathlib import Path

import click

from stages._common import Stage, load_all, raw_root


@click.command(cls=Stage)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--root", type=click.Path(path_type=Path), help="Annotations to render, not those of params.yaml.")
def main(out: Path, root: Path | None) -> None:
    """Write to OUT, a new folder, the annotations of the raw data with features made of them and of noise.

    Every feature set of params.yaml is written, in its size and on its grid, by the model of the built-in corpus
    (`synthetic.noise`, `drift`, `seed`). Name OUT as the raw root to run the pipeline on it: that tells which tasks
    have enough labels, and how long it takes, but scores say nothing of the footage. data/manifest says that features
    are rendered. Not for Ego4D, in whose form the built-in corpus is.
    """
    params = load_all()
    from egopack.runtime.progress import counting, progress
    from egopack.synthetic.rendering import render_footage

    with progress(0, "render", "video") as bar:
        count = render_footage(params.data, raw_root(params, root), out, params.synthetic, counting(bar))
    click.echo(f"{out}: features of {count} videos, rendered")


if __name__ == "__main__":
    main()
