"""The whole pipeline, stages side by side; what `make repro` runs."""

from __future__ import annotations

import sys

import click

from stages._common import JOBS, Stage


@click.command(cls=Stage)
@click.argument("targets", nargs=-1)
@click.option("--jobs", type=click.IntRange(1), help="Stages at once; as many as there are cores, if not given.")
def main(targets: tuple[str, ...], jobs: int | None) -> None:
    """Bring TARGETS, stages by DVC's names, or all stages up to date, as `dvc repro` does, but side by side.

    DVC itself runs each stage, so cache, locks and dvc.lock are as `dvc repro` leaves them. A stage starts when those
    that it needs are done and there is a core, a GPU (if it uses one) and the memory that it took the last time. If one
    fails, those that do not need it go on; Ctrl-C stops all, and the next run goes on.

    Writes data/jobs: a log of each stage, their durations, and gantt.svg, a picture of what ran when.
    """
    from stages._jobs.reproduce import reproduce

    sys.exit(reproduce(targets, jobs, JOBS))


if __name__ == "__main__":
    main()
