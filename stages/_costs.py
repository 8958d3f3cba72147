"""What a stage says in the end, and the time and memory that it took.

What it took is noted in data/costs, which neither git nor DVC keeps: it differs from run to run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from typing import Any

import click

from stages._common import COSTS, original


def told(ctx: click.Context, run: Callable[[], Any], quiet: bool) -> Any:
    """Run a stage; the line that it returns ends with its time. When `quiet`, it says that line alone."""
    from egopack.runtime.progress import QUIET, process_gb

    begin = time.monotonic()
    if quiet:
        os.environ[QUIET] = "1"
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere) if quiet else nullcontext():
        line = run()
    seconds = time.monotonic() - begin
    if ctx.obj is None or ctx.obj.is_main:  # ranks
        note(sys.argv[1:], seconds)
        if isinstance(line, str):
            click.echo(f"{line}; {seconds:.1f} s, {process_gb():.1f} GB")
    return line


def note(arguments: list[str], seconds: float) -> None:
    """Keep what this process took, where it was started as a stage."""
    from egopack.files import write_json
    from egopack.runtime.progress import process_gb

    module = getattr(sys.modules["__main__"].__spec__, "name", None) or ""
    if module.startswith("stages."):
        name = "@".join([module.removeprefix("stages."), *(one for one in arguments if not one.startswith("-"))])
        write_json(
            original(COSTS) / f"{name}.json", {"seconds": round(seconds, 2), "memory_gb": round(process_gb(), 3)}
        )


def commit() -> str:
    """The commit that is checked out, and whether files differ from it."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
