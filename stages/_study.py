"""How a study runs pipelines: in clones of the checkout that share its DVC cache, several at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from stages._common import ANY_FOOTAGE, ENSEMBLE, METRICS, PARAMS, ROOT_VARIABLES, SCRATCH
from stages._jobs.server import Server

if TYPE_CHECKING:
    import pandas as pd

    from egopack.params.study import Run

Row = dict[str, Any]
MEASURED = ("seed", "regime", "task", "metric", "value", "seconds", "commit")
COLUMNS = ("question", "variant", *MEASURED, "chosen")
TRIED = ("question", "variant", "point", *MEASURED)  # of the runs that settings are chosen by
LOG = "study.log"
OPTIONS: dict[str, list[str]] = {"ensemble": [], "averaged": ["--alone", "3"]}  # of `stages.ensemble`, as many members
FOLDERS = {"ensemble": ENSEMBLE, "averaged": ENSEMBLE / "alone"}


def git(*arguments: str, folder: Path | None = None) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


class Clone:
    """A clone in which one run after the other takes place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commit = folder, git("rev-parse", "HEAD")
        if not (folder / ".git").exists():
            shutil.rmtree(folder, ignore_errors=True)
            git("clone", "--quiet", "--shared", ".", str(folder))
        if git("rev-parse", "HEAD", folder=folder) != self.commit:
            self.clean()
        self.server = Server(1, folder / "forks.log", folder)
        local = folder / ".dvc" / "config.local"
        local.write_text(f"[cache]\n    dir = {Path('.dvc/cache').resolve()}\n", encoding="utf-8")

    def clean(self) -> None:
        """Bring back what is committed; what ran comes from the cache."""
        git("checkout", "--quiet", "--force", "--detach", self.commit, folder=self.folder)

    def run(self, settings: dict[str, Any], regimes: Iterable[str]) -> list[tuple[str, str, str, float]]:
        """Run the pipeline as far as the regimes need it: regime, task, metric and value of every headline metric.

        Raises:
            subprocess.CalledProcessError: a stage failed; the clone's study.log tells why.
        """
        from egopack.params.study import trained
        from egopack.tasks.base import load_task

        git("checkout", "--quiet", "--force", "--", PARAMS.name, folder=self.folder)  # what ran before is kept
        write_settings(self.folder / PARAMS, settings)
        parts = [regime.split("/") for regime in regimes]
        members = [one.split("/") for regime in regimes for one in trained(regime)]
        together = [["stages.ensemble", part[1], *OPTIONS[part[0]]] for part in parts if part[0] in OPTIONS]
        self.server.start()
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | self.server.environment
        for name in ("DVC_ROOT", *ROOT_VARIABLES.values(), ANY_FOOTAGE):
            environment.pop(name, None)
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            print(json.dumps(settings), file=log, flush=True)
            targets = dict.fromkeys(f"evaluate_{part[0]}@{part[1]}" for part in members)
            for command in (["dvc", "repro", *targets], *together):
                whole = [sys.executable, "-m", *command]
                subprocess.run(whole, cwd=self.folder, env=environment, check=True, stdout=log, stderr=log)
        self.server.hear()
        found = []
        for regime, key, *member in parts:
            task = member[0] if member else key
            scores_folder = FOLDERS.get(regime, METRICS / regime)
            scores = json.loads((self.folder / scores_folder / f"{key}.json").read_text(encoding="utf-8"))
            scores = scores[task] if member else scores
            found += [("/".join([regime, key, *member]), task, name, scores[name]) for name in load_task(task).headline]
        return found


def write_settings(path: Path, settings: dict[str, Any]) -> None:
    """Set dotted keys of a params file.

    Raises:
        UserError: a key is not one of the params, or its value none that it can take.
    """
    import yaml

    from egopack.params import load_params
    from egopack.tasks.base import check_task

    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in settings.items():
        *folders, name = key.split(".")
        block = params
        for part in folders:
            block = block.setdefault(part, {})
        block[name] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for name, block in load_params(path).tasks.items():
        check_task(name, block, path)


def missing(runs: Iterable[Run], rows: pd.DataFrame) -> list[Run]:
    """The runs that there are no rows of, with those of their regimes that have none with what is chosen now."""
    last = "point" if "point" in rows else "chosen"
    known = {*rows[["question", "variant", "seed", "regime", last]].fillna("").itertuples(index=False, name=None)}
    found = []
    for run in runs:
        place = {one: (run.question, run.variant, run.seed, one) for one in run.how.regimes}
        left = [one for one in place if (*place[one], run.point or run.how.chosen_for(one)) not in known]
        if left:
            found.append(run._replace(how=replace(run.how, regimes=left)))
    return found


def hours(runs: Iterable[Run], rows: Iterable[pd.DataFrame], jobs: int) -> float | None:
    """About how long runs take, `jobs` at a time, as those of their question did so far, else all; None where there
    were none.
    """
    import pandas as pd

    kinds = [
        one.groupby([name for name in ("question", "variant", "point", "seed") if name in one], as_index=False).first()
        for one in rows
    ]
    done = pd.concat(kinds)
    if not len(done):
        return None
    mean = done.groupby("question")["seconds"].mean()
    return float(sum(mean.get(run.question, done["seconds"].mean()) for run in runs)) / jobs / 3600


def run_all(runs: Iterable[Run], jobs: int, keep: Callable[[Run, list[Row]], None], say: Callable[[str], None]) -> int:
    """Run all, `jobs` at a time, and hand over the rows of each as it ends; how many failed."""
    clones: SimpleQueue[Clone] = SimpleQueue()
    for number in range(jobs):
        clones.put(Clone(SCRATCH / "study" / str(number)))
    lock, failed = threading.Lock(), []

    def one(run: Run) -> None:
        name = f"{run.question}: {run.variant}{', ' if run.point else ''}{run.point}, seed {run.seed}"
        clone = clones.get()
        began = time.monotonic()
        try:
            found = clone.run(run.how.set, run.how.regimes)
        except subprocess.CalledProcessError:
            clone.clean()
            with lock:
                failed.append(run)
                say(f"{name}: failed; {clone.folder / LOG} tells why")
            return
        finally:
            clones.put(clone)
        seconds = round(time.monotonic() - began, 1)
        place = {"question": run.question, "variant": run.variant, "point": run.point, "seed": run.seed}
        rows = [
            place
            | dict(zip(("regime", "task", "metric", "value"), row, strict=True))
            | {"seconds": seconds, "commit": clone.commit[:10], "chosen": run.how.chosen_for(row[0])}
            for row in found
        ]
        with lock:
            keep(run, rows)
            say(f"{name}: {seconds:.0f} s  " + "  ".join(f"{row[0]} {row[2]} {row[3]:.4g}" for row in found))

    try:
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(one, runs))
    finally:
        while not clones.empty():
            clones.get().server.close()
    return len(failed)
