"""What every command shares: how errors end."""

from __future__ import annotations

import errno
from typing import Any

import click


class Command(click.Command):
    """A command whose user errors, and those of disk and permissions, are one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        from egopack.errors import UserError, advice

        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if error.errno == errno.EPIPE or not error.strerror:
                raise
            raise click.ClickException(f"{error.filename or 'a file'}: {error.strerror}; {advice(error)}") from None
