"""The mutants of a room, run by cosmic-ray one after the other; what ran is kept, and not run again."""

from __future__ import annotations

import ast
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, WorkerOutcome, WorkItem, WorkResult

from tests.mutants.rooms import Room

Span = tuple[tuple[int, int], tuple[int, int]]  # line and column of its begin and end
PATIENCE = 3  # times as long as the tests take where nothing is changed
FIXED_S = 30.0
ANNOTATED = "_BitOr_"  # X | Y: in an annotation, which is never evaluated, any other operator does
EVALUATED = "params"  # but there


@dataclass(frozen=True)
class Score:
    """How many mutants there are, were tried, were noticed; where those are that were not, and their diff."""

    mutants: int
    tried: int
    noticed: int
    survivors: list[tuple[str, str]]


@dataclass(frozen=True)
class Session:
    """The mutants of a room in a clone, and the file that knows which of them ran."""

    room: Room
    clone: Path
    file: Path

    def run(self, sample: int, seed: int) -> Score:
        """Try as many mutants, drawn with the seed, and wait for the end.

        Raises:
            click.ClickException: the room's tests fail where nothing is changed.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with use_db(self.file) as work:
            if work.num_work_items == 0:
                init([self.clone / name for name in self.room.files], work, {})
            items = sorted(filter(self._matters, work.work_items), key=place)  # whatever the order in the file
            drawn = random.Random(f"{seed} {self.room.name}").sample(items, min(sample, len(items)))
            self._try(work, drawn)
            results = dict(work.results)
            lived = [item for item in drawn if not results[item.job_id].is_killed]
            survivors = [(self._where(item), changed_lines(results[item.job_id].diff or "")) for item in lived]
        return Score(len(items), len(drawn), len(drawn) - len(lived), sorted(survivors))

    def _try(self, work: WorkDB, drawn: Iterable[WorkItem]) -> None:
        done = {job for job, _ in work.results}
        left = [item for item in drawn if item.job_id not in done]
        if not left:
            return
        tests = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not drill"]
        path = shlex.quote(str(self.clone))  # whose code is to be imported
        script = f"cd {path} && PYTHONPATH=src exec {shlex.join([*tests, *self.room.tests])}"
        command = ["bash", "-c", script]
        began = time.monotonic()
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
            raise click.ClickException(f"{self.room.name}: tests fail where nothing is changed: {script}")
        limit = FIXED_S + PATIENCE * (time.monotonic() - began)
        for number, item in enumerate(left, 1):
            result = mutate_and_test(item.mutations, shlex.join(command), limit)
            work.set_result(item.job_id, result)
            click.echo(f"{self.room.name}: {number} of {len(left)}, {self._where(item)}: {said(result)}")

    def _matters(self, item: WorkItem) -> bool:
        """Not so what changes an annotation that nobody evaluates, or whether a record can be written to."""
        mutation = item.mutations[0]
        unions = ANNOTATED in f"{mutation.operator_name}_" and self.room.name != EVALUATED
        unread, frozen = idle(mutation.module_path)
        spans = unread + frozen if unions else frozen
        return not any(start <= mutation.start_pos < end for start, end in spans)

    def _where(self, item: WorkItem) -> str:
        mutation = item.mutations[0]
        path = mutation.module_path.relative_to(self.clone)
        return f"{path}:{mutation.start_pos[0]} {mutation.definition_name or ''}".rstrip()


def place(item: WorkItem) -> tuple[str, str, int]:
    """What tells a mutant from others."""
    mutation: MutationSpec = item.mutations[0]
    return str(mutation.module_path), mutation.operator_name, mutation.occurrence


@cache
def idle(path: Path) -> tuple[list[Span], list[Span]]:
    """Where annotations, and decorators of dataclasses, are in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return annotations(tree), records(tree)


def annotations(tree: ast.AST) -> list[Span]:
    """Where annotations are."""
    found = [getattr(node, name, None) for node in ast.walk(tree) for name in ("annotation", "returns")]
    return [span(one) for one in found if isinstance(one, ast.expr)]


def records(tree: ast.AST) -> list[Span]:
    """Where decorators are that make dataclasses."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return [span(one) for node in classes for one in node.decorator_list if "dataclass" in ast.dump(one)]


def span(node: ast.expr) -> Span:
    return (node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0)


def changed_lines(diff: str) -> str:
    """Of a diff what was taken away and what was put there."""
    lines = diff.splitlines()
    return "\n".join(line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def said(result: WorkResult) -> str:
    if result.worker_outcome is not WorkerOutcome.NORMAL:
        return str(result.worker_outcome.value)
    return "noticed" if result.is_killed else "not noticed"
