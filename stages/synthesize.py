"""Write the built-in corpus."""

from __future__ import annotations

import click

from stages._common import BUILT_IN, Stage
from stages._inputs import Reads, load

READS = Reads(("synthetic",))


@click.command(cls=Stage)
def main() -> None:
    """Write the built-in corpus to data/raw/synthetic, in Ego4D's format.

    Its size and difficulty are `synthetic` in params.yaml. It stands in for Ego4D where there is no licence.
    """
    params = load(READS)
    from egopack.synthetic.corpus import write_corpus

    summary = write_corpus(BUILT_IN, params.synthetic)
    for split in ("train", "val", "test"):
        click.echo(f"{BUILT_IN}: {split}: " + ", ".join(f"{count:g} {what}" for what, count in summary[split].items()))


if __name__ == "__main__":
    main()
