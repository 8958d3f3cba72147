"""`dvc repro`, stages side by side: from params, the machine and the last run to a plan; what is told at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import click

from egopack.files import read_json, write_json
from egopack.params import Params
from stages._common import PARAMS
from stages._jobs import machine
from stages._jobs.pipeline import Pipeline, lock_order
from stages._jobs.plan import Job, Plan, Room
from stages._jobs.record import draw, keep_times, last_times, table
from stages._jobs.run import Runner
from stages._jobs.screen import Screen
from stages._jobs.server import Server

INTERRUPTED = 130


def reproduce(targets: Sequence[str], jobs: int | None, folder: Path) -> int:
    """Bring stages up to date, at most `jobs` at once; the exit status. `folder` keeps logs and durations.

    Raises:
        UserError: params.yaml, dvc.yaml or dvc.lock cannot be used, or there is no such target.
    """
    from egopack.params import load_params

    params, pipeline = load_params(PARAMS), Pipeline()
    count, times = jobs or machine.cores(), folder / "times.json"
    order = _order_before(folder / "order.json")
    needs = pipeline.needs(targets)
    room = Room(count, machine.gpus(params), machine.free_bytes())
    last = last_times(times)
    plan = Plan(needs, {name: _job(name, pipeline, params, room, last) for name in needs}, room)
    server = Server(max(1, machine.cores() // count), folder / "forks.log")
    screen = Screen.open(needs)
    runner = Runner(pipeline, plan, server, screen, folder / "logs")
    try:
        runner.run()
    except KeyboardInterrupt:
        runner.stopped = runner.stopped or INTERRUPTED
    finally:
        server.close()
        screen.close()
    pipeline.put_in_order(order)
    (folder / "order.json").unlink(missing_ok=True)
    keep_times(times, runner.ran)
    return _tell(runner, folder, time.monotonic() - screen.began)


def _order_before(file: Path) -> list[str]:
    """The order of dvc.lock before this run; or before the last, which was killed and left its order here."""
    order = list(read_json(file)) if file.exists() else lock_order()
    write_json(file, order)
    return order


def _job(name: str, pipeline: Pipeline, params: Params, room: Room, last: dict[str, dict[str, float]]) -> Job:
    """What a stage takes; one that has not run yet as long as others of its kind."""
    kind = name.split("@")[0]
    alike = [times["seconds"] for other, times in last.items() if other.split("@")[0] == kind]
    module = pipeline.stages[name].cmd.split()[2]
    return machine.job(module, params, len(room.gpus), last.get(name), mean(alike) if alike else 1.0)


def _tell(runner: Runner, folder: Path, wall: float) -> int:
    plan, ran = runner.plan, runner.ran
    current = len(plan.done) - sum(one.how != "failed" for one in ran)
    if ran:
        draw(folder / "gantt.svg", ran, wall)
        click.echo(table(ran, wall))
        where = f"{folder / 'gantt.svg'} shows what ran when, {folder / 'logs'} has what was said"
        click.echo(f"{current} stages did not change; {where}")
    if runner.stopped:
        click.echo("stopped; the same command goes on", err=True)
        return INTERRUPTED
    if plan.failed:
        left = plan.left_out()
        text = f"failed: {', '.join(sorted(plan.failed))}"
        click.echo(text + (f"; not run, as they need what failed: {', '.join(sorted(left))}" if left else ""), err=True)
        return 1
    return 0
