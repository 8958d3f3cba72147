"""make fuzz: damage files at random, for minutes; python -m tests.fuzz [--minutes M] [--seed S] [TARGET ...]"""

from __future__ import annotations

import os
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from tests.fuzz.run import attack_apart
from tests.fuzz.targets import TARGETS

NAMES = [target.name for target in TARGETS]
CASES = 200  # of a process


@click.command()
@click.argument("targets", nargs=-1, type=click.Choice(NAMES))
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--seed", type=int, help="Damage as that run did; it is printed.")
def main(targets: tuple[str, ...], minutes: float, seed: int | None) -> None:
    """Damage the file of every reader (or of TARGETS) at random, and tell what ends otherwise than in one line.

    A fault is told with what repeats it: python -m tests.fuzz.run TARGET SEED COUNT. Exit status 1 if there is one.
    """
    seed, until = secrets.randbelow(2**31) if seed is None else seed, time.monotonic() + 60 * minutes
    click.echo(f"seed {seed}")
    counts = dict.fromkeys(targets or NAMES, 0)
    faults = 0

    def turn(job: tuple[int, str]) -> tuple[str, int, list[dict[str, Any]]]:
        number, name = job
        return name, seed + number, attack_apart([name], seed + number, CASES) if time.monotonic() < until else []

    number = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while time.monotonic() < until:
            jobs = [(number + k, name) for k, name in enumerate(counts)]
            for name, used, found in pool.map(turn, jobs):
                counts[name] += CASES
                faults += len(found)
                for one in found:
                    click.echo(f"{name}: python -m tests.fuzz.run {name} {used} {one['number'] + 1}\n{one['fault']}")
            number += len(jobs)
    click.echo(f"seed {seed}: {faults} faults in {sum(counts.values()):,} files: {counts}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
