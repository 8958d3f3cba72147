"""DVC's part: which stages there are and what each depends on, running one of them, the order of dvc.lock.

Each stage is run by DVC itself, in a process of its own that was forked from one that has DVC and the graph at hand.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
from dvc.exceptions import DvcException
from dvc.lock import Lock
from dvc.repo import Repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.rwlock import RWLOCK_FILE, _edit_rwlock
from dvc.utils.serialize import load_yaml, modify_yaml

from egopack.errors import UserError
from egopack.files import atomic_path

LOCK = Path("dvc.lock")


class QueuedLock(Lock):
    """DVC's lock, for which jobs stand in a queue of the system's; DVC's own way is to look again every half second."""

    queue = -1

    def is_taken(self) -> bool:
        """Whether another job has it right now."""
        queue = os.open(f"{self._lockfile}.queue", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(queue)
        return False

    def lock(self) -> None:
        self.queue = os.open(f"{self._lockfile}.queue", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self.queue, fcntl.LOCK_EX)
        super().lock()

    def unlock(self) -> None:
        super().unlock()
        os.close(self.queue)


class Pipeline:
    """The pipeline of the checkout in the current folder."""

    def __init__(self) -> None:
        try:
            self.repo = Repo(_wait_for_lock=True)
        except DvcException as error:
            raise UserError(said_of(error)) from None
        if isinstance(self.repo.lock, Lock):  # the setting core.hardlink_lock has another one
            self.repo.lock = QueuedLock(self.repo.lock.lockfile, friendly=True, wait=True)
        self.repo.scm_context.quiet = True
        self._forget_the_dead()

    def _forget_the_dead(self) -> None:
        """Take killed jobs out of DVC's list of who reads and writes what: where nobody buries processes, as in a
        container without init, DVC takes them for alive.
        """
        if not Path(self.repo.tmp_dir, RWLOCK_FILE).exists():
            return
        with suppress(DvcException), _edit_rwlock(self.repo.tmp_dir, self.repo.fs, hardlink=False) as lock:
            for path in [path for path, info in lock["write"].items() if is_dead(info["pid"])]:
                del lock["write"][path]
            for path, infos in list(lock["read"].items()):
                lock["read"][path] = [info for info in infos if not is_dead(info["pid"])]

    @cached_property
    def stages(self) -> dict[str, Any]:
        """DVC's stages by their names, in the order in which `dvc repro` runs them."""
        try:
            graph = get_active_graph(self.repo.index.graph)
        except DvcException as error:
            raise UserError(said_of(error)) from None
        return {stage.addressing: stage for stage in plan_repro(graph)}

    def needs(self, targets: Iterable[str] = ()) -> dict[str, set[str]]:
        """The stages that `targets` (all, if none is named) take, each with those that must be done before.

        Raises:
            UserError: there is no such target.
        """
        graph = get_active_graph(self.repo.index.graph)
        try:
            wanted = [stage for target in targets for stage in self.repo.stage.collect(target)]
        except DvcException as error:
            raise UserError(said_of(error)) from None
        planned = plan_repro(graph, wanted or None)
        return {stage.addressing: {before.addressing for before in graph.successors(stage)} for stage in planned}

    def is_current(self, name: str) -> bool:
        """Whether DVC would skip the stage, as nothing that it knows of has changed; not where that takes waiting."""
        stage, lock = self.stages[name], self.repo.lock
        if stage.always_changed or (isinstance(lock, QueuedLock) and lock.is_taken()):
            return False
        with lock:
            return not stage.changed()

    def run(self, name: str, environment: dict[str, str]) -> int:
        """Have DVC run a stage, or skip it, or take it from its cache; the exit status."""
        os.environ.update(environment)
        try:
            self.repo.reproduce(name, single_item=True)
        except DvcException as error:
            print(f"ERROR: {said_of(error)}", file=sys.stderr)
            return 1
        return 0

    def put_in_order(self, before: list[str]) -> None:
        """Have dvc.lock list its stages as if they had run one after the other: those that it had `before` first."""
        if not LOCK.exists():
            return
        with self.repo.lock:
            listed = lock_order()
            order = [name for name in dict.fromkeys([*before, *self.stages, *listed]) if name in listed]
            if order == listed:
                return
            with atomic_path(LOCK) as partial:
                shutil.copyfile(LOCK, partial)
                with modify_yaml(str(partial)) as content:
                    for name in order:
                        content["stages"].move_to_end(name)


def is_dead(process: int) -> bool:
    """Whether there is no such process, or only what is left of it."""
    try:
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def lock_order() -> list[str]:
    """The stages that dvc.lock lists."""
    try:
        return list(load_yaml(str(LOCK)).get("stages", {})) if LOCK.exists() else []
    except DvcException as error:
        raise UserError(said_of(error)) from None


def said_of(error: BaseException | None) -> str:
    """What DVC says of an error, and of what it came from."""
    parts = []
    while error is not None:
        parts += [str(error)] if str(error) else []
        error = error.__cause__
    return ": ".join(parts)
