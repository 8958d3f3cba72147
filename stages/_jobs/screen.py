"""What is told while stages run: a line where one starts and ends; on a terminal one more for each that runs."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.live import Live

DVCS = ("Running stage '", "> ", "Updating lock file", "Generating lock file", "Stage '")  # begin lines of its own
BAR_BYTES = 400
ROOM = 60  # columns that the names leave, where they all have one column
FEW = 12  # lines of a failed stage's log


def own_lines(log: Path) -> list[str]:
    """What a stage itself said, without DVC's lines."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith(DVCS)]


def last_bar(file: Path) -> str:
    """What a progress bar showed last."""
    try:
        with file.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, 2) - BAR_BYTES))
            text = handle.read().decode(errors="replace")
    except OSError:
        return ""
    shown = [part.strip() for part in text.replace("\n", "\r").split("\r") if part.strip()]
    return shown[-1] if shown else ""


def fitted(bar: str, room: int) -> str:
    """What a bar says, without the name before it, in at most `room` characters: the drawing goes first, of the rest
    what comes last. A bar of another form is cut.
    """
    found = re.fullmatch(r".*?:? *(\d+%)(\|.*\|) *(\S+) \[(.*)\]", bar)
    if found is None:
        return bar[: max(0, room)]
    percent, drawing, count, rest = found.groups()
    said = rest.split(", ")
    choices = [f"{percent:>4}{drawing} {count} [{rest}]"]
    choices += [f"{percent:>4} {count} [{', '.join(said[:length])}]" for length in range(len(said), 0, -1)]
    choices += [f"{percent:>4} {count}", percent]
    return next((choice for choice in choices if len(choice) <= room), "")


@dataclass
class Screen:
    """Tells on stdout; `live` where that is a terminal. `width` is that of the column of names."""

    began: float
    live: Live | None = None
    width: int = 0

    @classmethod
    def open(cls, names: Iterable[str] = ()) -> Screen:
        screen = cls(time.monotonic(), width=max(map(len, names), default=0))
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            screen.live = Live(console=Console(highlight=False, soft_wrap=True), transient=True, auto_refresh=False)
            screen.live.start()
        return screen

    def close(self) -> None:
        if self.live is not None:
            self.live.update("", refresh=True)
            self.live.stop()

    def say(self, text: str) -> None:
        if self.live is not None:
            self.live.console.print(text, markup=False, no_wrap=True)
        else:
            print(text, flush=True)

    def stage(self, name: str, what: str) -> None:
        """A line about a stage, with the time since the start of all."""
        self.say(f"{time.monotonic() - self.began:7.1f}  {name:<{self.width}}  {what}".rstrip())

    def show(self, running: list[tuple[str, float, Path]]) -> None:
        """What runs now: names, since when, the files of their bars."""
        if self.live is None:
            return
        from rich.text import Text

        now, columns = time.monotonic(), self.live.console.width
        wide = self.width if columns >= self.width + ROOM else max((len(name) for name, _, _ in running), default=0)
        heads = [(f"{now - since:7.1f}  {name:<{wide}}  ", last_bar(bar)) for name, since, bar in running]
        lines = [head + fitted(bar, columns - len(head)) for head, bar in heads]
        self.live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)
