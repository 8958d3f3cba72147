"""The one error that a user's input can cause."""

from __future__ import annotations


class UserError(Exception):
    """Input that makes a run meaningless; the message is one line that names file, key and value and says what to
    do.
    """
