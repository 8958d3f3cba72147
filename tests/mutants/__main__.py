"""make mutants: change the source a little, one place at a time; do tests notice? python -m tests.mutants [ROOM ...]"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from egopack.files import read_json, write_json
from stages._study import git
from tests.mutants.rooms import ROOMS, Room
from tests.mutants.session import Score, Session

WORK = Path("data/scratch/mutants")
SCORES = Path("metrics/mutants.json")


@click.command()
@click.argument("rooms", nargs=-1, type=click.Choice(sorted(ROOMS)))
@click.option("--sample", default=40, show_default=True, help="Mutants a room, drawn at random.")
@click.option("--seed", default=0, show_default=True, help="What draws them.")
@click.option("--jobs", default=os.cpu_count(), type=click.IntRange(1), help="Rooms at a time.  [default: cores]")
def main(rooms: tuple[str, ...], sample: int, seed: int, jobs: int) -> None:
    """Have cosmic-ray change the committed source of all rooms, or of ROOMS, and run the tests of the room each time.

    Takes hours; stopped, the same command goes on. metrics/mutants.json has the score of each room, noticed / tried,
    and those that no test noticed. Write under `equivalent` why one may live: it is left out of the score then.
    """
    if git("status", "--porcelain", "--", "src", "stages", "tests"):
        raise click.ClickException("src, stages or tests differ from the last commit; commit first")
    commit = git("rev-parse", "--short=10", "HEAD")

    def turn(room: Room) -> None:
        clone = clone_at(WORK / room.name, commit)  # of its own: cosmic-ray's file names what it changes by whole paths
        session = Session(room, clone, WORK / f"{room.name}-{commit}.sqlite")
        keep(room.name, session.run(sample, seed), commit)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(turn, [ROOMS[name] for name in rooms or ROOMS]))


def clone_at(folder: Path, commit: str) -> Path:
    """A clone of its own, in which files may be changed."""
    if not (folder / ".git").exists():
        git("clone", "--quiet", "--shared", ".", str(folder))
    git("fetch", "--quiet", folder=folder)
    git("checkout", "--quiet", "--force", "--detach", commit, folder=folder)
    return folder.resolve()


def keep(room: str, score: Score, commit: str) -> None:
    """Add a room's score to the file of all, and what was said before of mutants that may live."""
    scores = read_json(SCORES) if SCORES.exists() else {}
    before = {one["change"]: one["equivalent"] for one in scores.get(room, {}).get("survivors", [])}
    survivors = [
        {"where": where, "change": change, "equivalent": before.get(change, "")} for where, change in score.survivors
    ]
    counted = score.tried - sum(bool(one["equivalent"]) for one in survivors)
    percent = round(100 * score.noticed / counted, 1) if counted else None
    scores[room] = {
        "commit": commit,
        "mutants": score.mutants,
        "tried": score.tried,
        "noticed": score.noticed,
        "percent": percent,
        "survivors": survivors,
    }
    write_json(SCORES, dict(sorted(scores.items())))
    click.echo(f"{room}: {score.noticed} of {counted} noticed, {percent} %, of {score.mutants:,} possible ones")


if __name__ == "__main__":
    main()
