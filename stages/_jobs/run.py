"""Runs a plan: a process for each job, in which DVC runs its stage, until all are done or told to stop."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import NoReturn

from egopack.runtime.progress import BAR
from stages._jobs.pipeline import Pipeline
from stages._jobs.plan import Plan, Share
from stages._jobs.record import Ran
from stages._jobs.screen import DVCS, FEW, Screen, own_lines
from stages._jobs.server import Server

STOPS = (signal.SIGINT, signal.SIGTERM)
DEATH, OWNER_IS_GONE = 1, signal.SIGUSR1  # PR_SET_PDEATHSIG of Linux
LOOK_S = 0.25  # how often a terminal shows how far stages are


@dataclass
class Running:
    """A job that runs: its process, what it got, since when, its files."""

    process: ForkProcess
    share: Share
    since: float
    log: Path

    @property
    def errors(self) -> Path:
        return self.log.with_suffix(".err")

    @property
    def bar(self) -> Path:
        return self.log.with_suffix(".bar")


@dataclass
class Runner:
    """Runs the stages of a plan; `logs` is the folder of their logs."""

    pipeline: Pipeline
    plan: Plan
    server: Server
    screen: Screen
    logs: Path
    jobs: dict[str, Running] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)
    stopped: int = 0  # by which signal

    def run(self) -> None:
        """Until all are done, or have failed, or were told to stop by Ctrl-C or SIGTERM; a second Ctrl-C kills."""
        awake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.signal(number, self._told) for number in STOPS}
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        try:
            self._start_all()
            while self.jobs:
                sources = [awake, *(job.process.sentinel for job in self.jobs.values())]
                ready = wait(sources, timeout=LOOK_S if self.screen.live else None)
                if awake in ready:
                    os.read(awake, 64)
                for name in [name for name, job in self.jobs.items() if job.process.sentinel in ready]:
                    self._end(name)
                self._start_all()
                self.screen.show([(name, job.since, job.bar) for name, job in self.jobs.items()])
        finally:
            for job in self.jobs.values():
                with suppress(ProcessLookupError):
                    os.killpg(job.process.pid or 0, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            for told, handler in before.items():
                signal.signal(told, handler)

    def _told(self, number: int, frame: object) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = number
        self.server.send(number)
        for job in self.jobs.values():
            with suppress(ProcessLookupError):
                os.killpg(job.process.pid or 0, number)

    def _start_all(self) -> None:
        while not self.stopped and (name := self.plan.next()) is not None:
            if self.pipeline.is_current(name):
                self.plan.end(name)
            elif not self.stopped:
                self._start(name)

    def _start(self, name: str) -> None:
        if not self.pipeline.stages[name].always_changed:
            self.server.start()
        share, log = self.plan.start(name), self.logs / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = self.server.environment
        if self.screen.live:
            environment[BAR] = str(log.with_suffix(".bar").resolve())
        if share.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(share.gpus)
        sys.stdout.flush()
        sys.stderr.flush()
        process = get_context("fork").Process(target=self._work, args=(name, environment, log, os.getpid()))
        process.start()
        self.jobs[name] = Running(process, share, time.monotonic(), log)
        with suppress(OSError):
            os.setpgid(process.pid or 0, process.pid or 0)
        self.screen.stage(name, "starts" + (f" on GPU {', '.join(share.gpus)}" if share.gpus else ""))

    def _work(self, name: str, environment: dict[str, str], log: Path, owner: int) -> NoReturn:
        """In a process of its own: have DVC run the stage; its command is told to stop, then DVC ends what it began."""
        with suppress(OSError):
            os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in STOPS:
            signal.signal(number, lambda *_: None)
        signal.signal(OWNER_IS_GONE, lambda *_: os.killpg(0, signal.SIGKILL))
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(DEATH, OWNER_IS_GONE)
        if os.getppid() != owner:
            os._exit(1)
        if self.server.pipe is not None:
            self.server.pipe.close()
        for stream, path in ((1, log), (2, log.with_suffix(".err"))):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
            os.dup2(file, stream)
            os.close(file)
        status = self.pipeline.run(name, environment)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def _end(self, name: str) -> None:
        job = self.jobs.pop(name)
        job.process.join()
        failed, end = job.process.exitcode != 0, time.monotonic()
        self.server.hear()
        self.plan.end(name, failed=failed)
        errors = job.errors.read_text(encoding="utf-8", errors="replace") if job.errors.exists() else ""
        own, said = own_lines(job.log), job.log.read_text(encoding="utf-8", errors="replace")
        with job.log.open("a", encoding="utf-8") as log:
            log.write(errors)
        for file in (job.errors, job.bar):
            file.unlink(missing_ok=True)
        how = "failed" if failed else "ran" if f"{DVCS[0]}{name}'" in said else "cached"
        begin = job.since - self.screen.began
        self.ran.append(Ran(name, begin, end - self.screen.began, job.share.slots, self.server.peaks.get(name, 0), how))
        if failed and self.stopped:
            how = "stopped"
        elif failed:
            how = f"failed; {job.log}"
        last = f": {own[-1]}" if own and how in ("ran", "stopped") else ""
        self.screen.stage(name, f"{how}, {end - job.since:.1f} s{last}")
        for line in errors.splitlines()[-FEW:] if not self.stopped else []:
            self.screen.say(f"         {line}")
