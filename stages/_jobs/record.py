"""What ran when: the durations of the last runs, a table and a picture of this one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from egopack.errors import UserError
from egopack.files import atomic_path, read_json, write_json

ROW, LEFT, WIDTH, HEAD = 22, 60, 1100, 40  # of the picture, in pixels
COLORS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#eeca3b", "#9d755d", "#bab0ac", "#ff9da6")
STEPS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


@dataclass(frozen=True)
class Ran:
    """A stage that ran, from when to when in seconds after the start of all, in which slots, with what peak memory."""

    name: str
    begin: float
    end: float
    slots: tuple[int, ...]
    peak_bytes: int = 0
    how: str = "ran"  # or cached: DVC had its outputs; or failed

    @property
    def kind(self) -> str:
        """The stage without its argument."""
        return self.name.split("@")[0]

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def last_times(file: Path) -> dict[str, dict[str, float]]:
    """Seconds and peak memory of each stage when it last ran here."""
    try:
        return dict(read_json(file))
    except UserError:  # there is none yet
        return {}


def keep_times(file: Path, ran: Sequence[Ran]) -> None:
    """Add what ran to the end to the file of `last_times`."""
    own = {
        one.name: {"seconds": round(one.seconds, 2), "peak_bytes": one.peak_bytes} for one in ran if one.how == "ran"
    }
    if own:
        write_json(file, last_times(file) | own)


def table(ran: Sequence[Ran], wall: float) -> str:
    """Durations by kind of stage, in the order in which they began."""
    kinds: dict[str, list[Ran]] = defaultdict(list)
    for one in ran:
        kinds[one.kind].append(one)
    lines = [f"{'stage':<18}{'runs':>5}{'seconds':>9}{'longest':>9}{'MB':>7}"]
    for kind, ones in kinds.items():
        longest = max(ones, key=lambda one: one.seconds)
        key = longest.name.partition("@")[2]
        lines.append(
            f"{kind:<18}{len(ones):>5}{sum(one.seconds for one in ones):>9.1f}{longest.seconds:>9.1f}"
            f"{max(one.peak_bytes for one in ones) >> 20:>7} {key}".rstrip()
        )
    busy = sum(one.seconds for one in ran)
    at_once = busy / wall if wall else 0.0
    return "\n".join([*lines, f"{'all':<18}{len(ran):>5}{busy:>9.1f} in {wall:.1f} s, {at_once:.2f} at once"])


def draw(file: Path, ran: Sequence[Ran], wall: float) -> None:
    """A picture of what ran when: a row for each slot, a bar for each stage, its name where the pointer is."""
    rows = 1 + max((slot for one in ran for slot in one.slots), default=0)
    kinds = list(dict.fromkeys(one.kind for one in ran))
    scale, foot = (WIDTH - LEFT) / max(wall, 1e-9), HEAD + rows * ROW
    height = foot + 30 + ROW * (1 + (len(kinds) - 1) // 5)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 20}" height="{height}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{len(ran)} stages in {wall:.1f} s</text>',
    ]
    step = next((step for step in STEPS_S if wall / step <= 15), STEPS_S[-1])
    for second in range(0, int(wall) + 1, step):
        x = LEFT + second * scale
        parts.append(f'<path d="M{x:.1f} {HEAD - 6}V{foot}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEAD - 8}" text-anchor="middle">{second}</text>')
    parts += [f'<text x="4" y="{HEAD + slot * ROW + 15}">slot {slot + 1}</text>' for slot in range(rows)]
    for one in ran:
        color, width = COLORS[kinds.index(one.kind) % len(COLORS)], max(one.seconds * scale, 1.0)
        told = f"{one.name}: {one.seconds:.1f} s, {one.how}"
        for slot in one.slots:
            y = HEAD + slot * ROW
            parts.append(
                f'<g><title>{escape(told)}</title><rect x="{LEFT + one.begin * scale:.1f}" y="{y + 2}" '
                f'width="{width:.1f}" height="{ROW - 4}" fill={quoteattr(color)} stroke="white"/>'
            )
            if width > 7 * len(one.name):
                parts.append(
                    f'<text x="{LEFT + one.begin * scale + 4:.1f}" y="{y + 15}" fill="white">{escape(one.name)}</text>'
                )
            parts.append("</g>")
    for number, kind in enumerate(kinds):
        x, y = LEFT + 200 * (number % 5), foot + 14 + ROW * (number // 5)
        parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{COLORS[number % len(COLORS)]}"/>')
        parts.append(f'<text x="{x + 17}" y="{y + 10}">{escape(kind)}</text>')
    with atomic_path(file) as partial:
        partial.write_text("\n".join([*parts, "</svg>\n"]), encoding="utf-8")
