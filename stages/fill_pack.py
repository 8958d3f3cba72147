"""Sum up a pack of tasks."""

from __future__ import annotations

import click

from stages._common import PACKS, SAMPLES, Stage, pack_members
from stages._inputs import Reads, load

READS = Reads(("packs.{pack}",), each="packs")


@click.command(cls=Stage)
@click.argument("pack")
def main(pack: str) -> str:
    """Write data/packs/PACK.json: checksums of the samples of the tasks that packs.PACK lists.

    It stands for those samples in the pipeline, where a stage cannot name the tasks of its pack one by one.
    """
    params = load(READS)
    from egopack.preparation.packs import fill_pack

    members = pack_members(params, pack)
    fill_pack(members, SAMPLES, PACKS / f"{pack}.json")
    return f"{PACKS / pack}.json: {', '.join(members)}"


if __name__ == "__main__":
    main()
