"""Compare the regimes."""

from __future__ import annotations

import click

from stages._common import METRICS, TABLE, Stage
from stages._inputs import Reads, load

READS = Reads(("comparison", "names:tasks", "names:helped_by"), tasks=("all",))


@click.command(cls=Stage)
def main() -> None:
    """Write metrics/{chance,single,multi,egopack}.json, every task's headline metrics by chance and in the three
    regimes, and the same in one table each: metrics/comparison.csv and data/comparison.md.
    """
    params = load(READS)
    from egopack.evaluation.comparison import compare, markdown, write_comparison

    comparison = compare(METRICS, list(params.tasks), params.helped_by, params.comparison.multi_pack)
    write_comparison(METRICS, TABLE, comparison)
    click.echo(markdown(comparison), nl=False)


if __name__ == "__main__":
    main()
