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
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from stages._common import ANY_FOOTAGE, PARAMS, ROOT_VARIABLES, SCRATCH

Run = tuple[str, str, int, Any]  # question, variant, seed, what to set
Row = dict[str, Any]
COLUMNS = ("question", "variant", "seed", "regime", "task", "metric", "value", "seconds", "commit")
LOG = "study.log"


def git(*arguments: str, folder: Path | None = None) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


class Clone:
    """A clone in which one run after the other takes place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commit = folder, git("rev-parse", "HEAD")
        if not (folder / ".git").exists():
            shutil.rmtree(folder, ignore_errors=True)
            git("clone", "--quiet", "--shared", ".", str(folder))
        git("checkout", "--quiet", "--force", "--detach", self.commit, folder=folder)
        local = folder / ".dvc" / "config.local"
        local.write_text(f"[cache]\n    dir = {Path('.dvc/cache').resolve()}\n", encoding="utf-8")

    def run(self, settings: dict[str, Any], regimes: Iterable[str]) -> list[tuple[str, str, str, float]]:
        """Run the pipeline as far as the regimes need it: regime, task, metric and value of every headline metric.

        Raises:
            subprocess.CalledProcessError: a stage failed; the clone's study.log tells why.
        """
        from egopack.tasks.base import load_task

        git("checkout", "--quiet", "--force", "--", ".", folder=self.folder)
        write_settings(self.folder / PARAMS, settings)
        parts = [regime.split("/") for regime in regimes]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        for name in ("DVC_ROOT", *ROOT_VARIABLES.values(), ANY_FOOTAGE):
            environment.pop(name, None)
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            print(json.dumps(settings), file=log, flush=True)
            targets = dict.fromkeys(f"evaluate_{part[0]}@{part[1]}" for part in parts)
            command = [sys.executable, "-m", "dvc", "repro", *targets]
            subprocess.run(command, cwd=self.folder, env=environment, check=True, stdout=log, stderr=log)
        found = []
        for regime, key, *member in parts:
            task = member[0] if member else key
            scores = json.loads((self.folder / "metrics" / regime / f"{key}.json").read_text(encoding="utf-8"))
            scores = scores[task] if member else scores
            found += [("/".join([regime, key, *member]), task, name, scores[name]) for name in load_task(task).headline]
        return found


def write_settings(path: Path, settings: dict[str, Any]) -> None:
    """Set dotted keys of a params file that has them.

    Raises:
        UserError: a key is not there.
    """
    import yaml

    from egopack.errors import UserError

    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in settings.items():
        *folders, name = key.split(".")
        block = params
        for part in folders:
            block = block.get(part, {})
        if name not in block:
            raise UserError(f"{path.name} has no {key!r} to set")
        block[name] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def run_all(runs: Iterable[Run], jobs: int, keep: Callable[[list[Row]], None], say: Callable[[str], None]) -> int:
    """Run all, `jobs` at a time, and hand over the rows of each as it ends; how many failed."""
    clones: SimpleQueue[Clone] = SimpleQueue()
    for number in range(jobs):
        clones.put(Clone(SCRATCH / "study" / str(number)))
    lock, failed = threading.Lock(), []

    def one(run: Run) -> None:
        question, variant, seed, how = run
        clone = clones.get()
        began = time.monotonic()
        try:
            found = clone.run(how.set, how.regimes)
        except subprocess.CalledProcessError:
            with lock:
                failed.append(run)
                say(f"{question}: {variant}, seed {seed}: failed; {clone.folder / LOG} tells why")
            return
        finally:
            clones.put(clone)
        seconds = round(time.monotonic() - began, 1)
        with lock:
            keep(
                [
                    dict(zip(COLUMNS, (question, variant, seed, *row, seconds, clone.commit[:10]), strict=True))
                    for row in found
                ]
            )
            say(
                f"{question}: {variant}, seed {seed}: {seconds:.0f} s  "
                + "  ".join(f"{row[0]} {row[2]} {row[3]:.4g}" for row in found)
            )

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, runs))
    return len(failed)
