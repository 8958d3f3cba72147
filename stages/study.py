"""Run a study: the pipeline many times over, and what its numbers say."""

from __future__ import annotations

import os

import click

from stages._common import METRICS, PLAN, Stage

RUNS = METRICS / "study.csv"


@click.command(cls=Stage)
@click.argument("questions", nargs=-1)
@click.option("--jobs", default=os.cpu_count(), type=click.IntRange(min=1), help="Runs at a time.  [default: cores]")
@click.option("--dry", is_flag=True, help="Print the runs that are missing, and run none.")
@click.option("--table", is_flag=True, help="Run none; print what the runs say so far.")
def main(questions: tuple[str, ...], jobs: int, dry: bool, table: bool) -> None:
    """Run what params.study.yaml asks for and metrics/study.csv lacks, then print the differences with 95% intervals.

    Each run is a `dvc repro` of this commit, with other settings, in a clone under data/scratch/study. All share the
    cache, so that what two runs have in common is computed once. A row is written when its run ends: a study can be
    stopped at any time, and run again. QUESTIONS: some of them, by name; all if none is named.
    """
    import pandas as pd

    from egopack.evaluation.paired import differences, markdown
    from egopack.files import atomic_path
    from egopack.params.study import load_study
    from stages._study import COLUMNS, Row, git, run_all

    plan = load_study(PLAN)
    done = pd.read_csv(RUNS) if RUNS.exists() else pd.DataFrame(columns=list(COLUMNS))
    known = set(zip(done["question"], done["variant"], done["seed"], strict=True))
    missing = [run for run in plan.runs(list(questions)) if run[:3] not in known]
    if dry:
        for asked, variant, seed, how in missing:
            click.echo(f"{asked}: {variant}, seed {seed}: {', '.join(how.regimes)}")
        return
    failed = 0
    if missing and not table:
        if git("status", "--porcelain", "--", "src", "stages", "params.yaml", "dvc.yaml"):
            raise click.ClickException("src, stages, params.yaml or dvc.yaml differ from the last commit; commit first")
        rows = done.to_dict("records")

        def keep(new: list[Row]) -> None:
            rows.extend(new)
            with atomic_path(RUNS) as temporary:
                pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(temporary, index=False, lineterminator="\n")

        failed = run_all(missing, jobs, keep, click.echo)
        done = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in questions or plan.questions:
        question = plan.questions[name]
        click.echo(f"\n{name}: {question.about}\n\n{markdown(differences(done[done['question'] == name], question))}")
    if failed:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
