"""Stages that torchrun may start several times over: one rank writes, and one says what went wrong."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import click

from stages._common import Stage, load_all
from stages._dvc import launcher_ends_with_dvc

LAUNCHED = "EGOPACK_LAUNCHED"  # set for what the launcher starts


class SharedStage(Stage):
    """A stage that `launcher` in params.yaml starts, and that gets its `Ranks` as the first argument
    (`click.pass_obj`).
    """

    def invoke(self, ctx: click.Context) -> Any:
        launch()
        from egopack.runtime.last_words import LastWords
        from egopack.runtime.ranks import is_lost_rank, join, leave

        ranks = ctx.obj = join()
        if ranks.world == 1:
            if (named := os.environ.get("WORLD_SIZE", "1")) != "1":
                click.echo(f"WORLD_SIZE is {named!r}, but torchrun did not set it: this process works alone", err=True)
            return super().invoke(ctx)
        words = LastWords(ranks)
        words.when_told_to_end()
        try:
            result = super().invoke(ctx)
            leave(ranks)
            return result
        except click.ClickException as error:
            words.end(error.format_message())
        except RuntimeError as error:
            if not is_lost_rank(error):
                raise
            words.end()


def launch() -> None:
    """Become the command of `launcher`, unless it started this process or is plain Python.

    The launcher stands in no command of dvc.yaml, so that another one runs nothing again.
    """
    module = getattr(sys.modules["__main__"].__spec__, "name", None)
    from egopack.runtime.ranks import TORCHRUN

    if LAUNCHED in os.environ or TORCHRUN in os.environ or module is None or not module.startswith("stages."):
        return
    from egopack.errors import UserError

    try:
        launcher = load_all().launcher
    except UserError as error:
        raise click.ClickException(str(error)) from None
    if launcher != "python":
        launcher_ends_with_dvc()
        command = f"exec {launcher} -m {module} {shlex.join(sys.argv[1:])}"
        os.execvpe("sh", ["sh", "-c", command], os.environ | {LAUNCHED: "1"})
