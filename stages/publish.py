"""Put the report where git keeps it."""

from __future__ import annotations

import click

from stages._common import PAGE, REPORT, Stage
from stages._inputs import Reads, load

READS = Reads()


@click.command(cls=Stage)
def main() -> str:
    """Copy data/kept/report.html to metrics/report.html, which git keeps.

    A stage of its own, for DVC caches no stage that writes what git keeps and DVC cannot draw.
    """
    load(READS)
    import shutil

    from egopack.files import atomic_path

    with atomic_path(REPORT) as temporary:
        shutil.copyfile(PAGE, temporary)
    return f"{REPORT}: {REPORT.stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
