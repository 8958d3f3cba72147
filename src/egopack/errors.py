"""The one error that a user's input can cause."""

from __future__ import annotations


class UserError(Exception):
    """Input that makes a run meaningless; the message is one line that names file, key and value and says what to
    do. What cannot be printed is spelled out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """The text in one line, whatever is in it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shown(value: object, most: int = 200) -> str:
    """A value as a message repeats it: short, however large it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no number of thousands of digits
        return f"{type(value).__name__} that is too large to be shown"
    return text if len(text) <= most else text[: most - 3] + "..."
