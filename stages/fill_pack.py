"""Sum up a pack of tasks."""

from __future__ import annotations

import click

from stages._common import PACKS, PARAMS, SETTINGS, Stage, load


@click.command(cls=Stage)
@click.argument("pack")
def main(pack: str) -> None:
    """Write data/packs/PACK: what its training and its evaluation depend on, of the tasks that packs.PACK lists."""
    params = load()
    from egopack.errors import UserError
    from egopack.preparation.packs import fill_pack

    if pack not in params.packs:
        raise UserError(f"{PARAMS}: packs: there is no {pack!r}, only {', '.join(params.packs)}")
    fill_pack(params.packs[pack], SETTINGS, PACKS / f"{pack}.train.json", PACKS / f"{pack}.evaluate.json")


if __name__ == "__main__":
    main()
