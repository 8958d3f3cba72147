"""Write the built-in corpus."""

from __future__ import annotations

import click

from stages._common import BUILT_IN, Stage
from stages._inputs import Reads, load

SPLITS = ("train", "val", "test")
READS = Reads(("synthetic",))


@click.command(cls=Stage)
def main() -> str:
    """Write the built-in corpus to data/raw/synthetic, in Ego4D's format.

    Its size and difficulty are `synthetic` in params.yaml. It stands in for Ego4D where there is no licence.
    """
    params = load(READS)
    from egopack.synthetic.corpus import write_corpus

    summary = write_corpus(BUILT_IN, params.synthetic)
    told = (f"{split} " + ", ".join(f"{count:g} {what}" for what, count in summary[split].items()) for split in SPLITS)
    return f"{BUILT_IN}: {'; '.join(told)}"


if __name__ == "__main__":
    main()
