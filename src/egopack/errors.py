"""The one error that a user's input can cause, and what to do about those of the system."""

from __future__ import annotations

import errno
from pathlib import Path

ROOM = "make room on its disk"
READABLE = "it has to be a readable file, in folders that may be entered"
MANY = "too many files are open: allow more (ulimit -n)"
ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP), READABLE),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), MANY),
    errno.EROFS: "it lies on a file system that is read-only",
    errno.ENOENT: "put it there, or run the stage that writes it",
    errno.ENOMEM: "the machine has no memory left for it",
}
MOUNT = "that is no damage of the file: see to the disk or the mount that it lies on, then run the stage again"


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


def advice(error: OSError) -> str:
    """What a user can do about a system that refuses to read or to write."""
    return ADVICE.get(error.errno or 0, MOUNT)


class RefusedError(UserError):
    """The system refuses to read a file: never to be taken for damage of the file."""


def refused(path: Path | str, error: OSError) -> RefusedError:
    """What to raise where the system refuses to read a file."""
    return RefusedError(f"{path}: cannot be read ({error.strerror}); {advice(error)}")
