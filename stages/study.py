"""Run a study: the pipeline many times over, and what its numbers say."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stages._common import METRICS, PLAN, Stage

if TYPE_CHECKING:
    import pandas as pd

    from egopack.params.study import Chosen, Run, StudyParams
    from stages._study import Row

RUNS, TRIED = METRICS / "study.csv", METRICS / "study_tuning.csv"
FIGURES = METRICS / "study"


@click.command(cls=Stage)
@click.argument("questions", nargs=-1)
@click.option("--jobs", default=os.cpu_count(), type=click.IntRange(min=1), help="Runs at a time.  [default: cores]")
@click.option("--most", type=click.IntRange(min=1), help="Stop after so many runs; the same command goes on.")
@click.option("--dry", is_flag=True, help="Print the runs that are missing and about how long they take; run none.")
@click.option("--tune", is_flag=True, help="Run those that settings are chosen by, and no other.")
@click.option("--table", is_flag=True, help="Run none; print what the runs say so far.")
@click.option("--seed", "seeds", multiple=True, type=int, help="Judge on this seed, not on those of the plan.")
@click.option("--figures", is_flag=True, help="Run none; draw what the runs say so far, into metrics/study.")
def main(
    questions: tuple[str, ...],
    jobs: int,
    most: int | None,
    dry: bool,
    tune: bool,
    table: bool,
    seeds: tuple[int, ...],
    figures: bool,
) -> None:
    """Run what params.study.yaml asks for and metrics/study.csv lacks, then print the differences with 95% intervals.

    Each run is a `dvc repro` of this commit, with other settings, in a clone under data/scratch/study. All share the
    cache, so that what two runs have in common is computed once. A row is written when its run ends: a study can be
    stopped at any time, and run again. QUESTIONS: some of them, by name; all if none is named.

    Where a question tunes, points of its grid run first, on the tuning seeds alone, into metrics/study_tuning.csv: all,
    or those where its search starts, those beside the best, and so on until the best lies between others. A regime is
    judged when all of its points are there, with the best of them. The table names the best ones that lie on the edge
    of their grid.
    """
    from egopack.params.study import load_study
    from stages._study import hours, missing

    plan, names = load_study(PLAN), list(questions)
    plan = plan.judged_on(list(seeds)) if seeds else plan
    tried = to_try(plan, names)
    if dry:
        left = missing(plan.runs(names, found(plan)), read(RUNS))
        for run in [*tried, *left]:
            place = ", ".join(filter(None, (run.variant, run.point, f"seed {run.seed}")))
            click.echo(f"{run.question}: {place}: {', '.join(run.how.regimes)}")
        later: Chosen = {key: {} for keys in plan.owners(names).values() for key in keys} | found(plan)
        whole = [*tried, *missing(plan.runs(names, later), read(RUNS))]
        about = hours(whole, [read(RUNS), read(TRIED)], jobs)
        time = "no run so far tells how long they take" if about is None else f"about {about:.1f} h, {jobs} at a time"
        click.echo(f"{len(whole)} runs, {len(tried) + len(left)} of them now; {time}", err=True)
        say_what_waits(plan, names)
        return
    failed, room = 0, most
    if not table and not figures:
        while tried and not failed and room != 0:
            failed += run_missing(tried[:room], TRIED, jobs)
            room = room and room - len(tried[:room])
            tried = to_try(plan, names)  # beside what is the best by now
        left = [] if tune or room == 0 else missing(plan.runs(names, found(plan)), read(RUNS))
        failed += run_missing(left[:room], RUNS, jobs)
    tell(plan, names)
    if figures:
        draw(plan, names)
    if failed:
        raise click.exceptions.Exit(1)


def read(path: Path) -> pd.DataFrame:
    """The rows of a file of runs; none where there is none."""
    import pandas as pd

    from stages._study import COLUMNS
    from stages._study import TRIED as MORE

    columns = list(MORE if path == TRIED else COLUMNS)
    return pd.read_csv(path, dtype={"point": str}) if path.exists() else pd.DataFrame(columns=columns)


def to_try(plan: StudyParams, names: list[str]) -> list[Run]:
    """The runs by which settings are chosen that there are no rows of, as far as the rows tell."""
    from egopack.evaluation.tuning import wanted
    from stages._study import missing

    return missing(plan.tuning_runs(names, wanted(read(TRIED), plan)), read(TRIED))


def judged(plan: StudyParams) -> pd.DataFrame:
    """The rows of the plan's seeds."""
    rows = read(RUNS)
    return rows[rows["seed"].isin([*plan.seeds.tuning, *plan.seeds.verdict])]


def found(plan: StudyParams) -> dict[tuple[str, str, str], dict[str, object]]:
    """What the tuning chose so far."""
    from egopack.evaluation.tuning import chosen, tuned

    return dict(chosen(tuned(read(TRIED), plan), plan))


def run_missing(runs: list[Run], path: Path, jobs: int) -> int:
    """Run these and add their rows to a file; how many failed."""
    from stages._study import git, run_all

    if not runs:
        return 0
    if git("status", "--porcelain", "--", "src", "stages", "params.yaml", "dvc.yaml"):
        raise click.ClickException("src, stages, params.yaml or dvc.yaml differ from the last commit; commit first")
    return run_all(runs, jobs, partial(keep, path), click.echo)


def keep(path: Path, run: Run, rows: list[Row]) -> None:
    """Add the rows of a run to a file."""
    import pandas as pd

    from egopack.files import atomic_path

    before = read(path)
    table = pd.concat([before, pd.DataFrame(rows)[list(before.columns)]]) if len(before) else pd.DataFrame(rows)
    with atomic_path(path) as temporary:
        table[list(before.columns)].to_csv(temporary, index=False, lineterminator="\n")


def tell(plan: StudyParams, names: list[str]) -> None:
    """Print what was chosen, and the differences."""
    from egopack.evaluation import tuning
    from egopack.evaluation.paired import differences, markdown, over

    choices, done = tuning.tuned(read(TRIED), plan), judged(plan)
    for name in plan.named(names):
        question = plan.questions[name]
        compared = differences(done[done["question"] == name], question)
        click.echo(f"\n{name}: {question.about}\n\n{markdown(compared)}")
        if question.figure and len(compared):
            click.echo(f"\n{over(compared, question.figure.x)}")
        if question.tune:
            own = choices[choices["question"] == name]
            click.echo(f"\nBest of a grid of {len(question.points())}, by the tuning seeds:\n\n{tuning.markdown(own)}")
    say_what_waits(plan, names)


def say_what_waits(plan: StudyParams, names: list[str]) -> None:
    """Say what is not judged before its tuning is whole."""
    waiting = plan.waiting(names, found(plan))
    if waiting:
        first = ", ".join(waiting[0])
        click.echo(f"{len(waiting)} regimes are not judged before their tuning is whole, {first} first", err=True)


def draw(plan: StudyParams, names: list[str]) -> None:
    """Write a figure of each question that has one and runs."""
    from egopack.evaluation.paired import differences
    from egopack.files import atomic_path
    from egopack.report.figures import standalone
    from egopack.report.overview import drawn

    done = judged(plan)
    for name in plan.named(names):
        question = plan.questions[name]
        svg = drawn(name, differences(done[done["question"] == name], question), question)
        if svg:
            path = FIGURES / f"{name}.svg"
            with atomic_path(path) as temporary:
                temporary.write_text(standalone(svg), encoding="utf-8")
            click.echo(f"{path}: written")


if __name__ == "__main__":
    main()
