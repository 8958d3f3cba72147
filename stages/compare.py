"""Compare the regimes."""

from __future__ import annotations

import click

from stages._common import METRICS, Stage, load


@click.command(cls=Stage)
def main() -> None:
    """Write metrics/comparison.{json,csv,md}: every task's headline metrics by chance and in the three regimes."""
    params = load()
    from egopack.evaluation.comparison import compare, markdown, write_comparison

    comparison = compare(METRICS, list(params.tasks), params.comparison.multi_pack)
    write_comparison(METRICS, comparison)
    click.echo(markdown(comparison), nl=False)


if __name__ == "__main__":
    main()
