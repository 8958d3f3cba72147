"""Stages that torchrun may start several times over: one rank writes, and one says what went wrong."""

from __future__ import annotations

from typing import Any

import click

from stages._common import Stage


class SharedStage(Stage):
    """A stage that gets its `Ranks` as the first argument (`click.pass_obj`)."""

    def invoke(self, ctx: click.Context) -> Any:
        from egopack.runtime.last_words import LastWords
        from egopack.runtime.ranks import is_lost_rank, join, leave

        ranks = ctx.obj = join()
        if ranks.world == 1:
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
