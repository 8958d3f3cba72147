"""Figures of the report: drawn by matplotlib, as SVG for inside a page, whose colors are the page's own.

The same numbers give the same bytes: no dates, coordinates of two decimals. Regimes have one color, dash and marker
each, the same in every figure; what a line or a bar is stands in its title, which shows under the pointer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

# stand-ins for colors of the page, by the name of its variable (page.py)
COLORS = {
    "ink": "#010101",
    "rule": "#010102",
    "paper": "#010103",
    "chance": "#010104",
    "single": "#010105",
    "multi": "#010106",
    "egopack": "#010107",
    **{f"part{number}": f"#01020{number}" for number in range(6)},
}
LIGHT = {
    **{"ink": "#1a1a1a", "rule": "#cccccc", "paper": "#ffffff"},
    **{"chance": "#6b6b6b", "single": "#0072b2", "multi": "#b85200", "egopack": "#007f5f"},
}
DASHES = {"chance": ":", "single": "--", "multi": "-.", "egopack": "-"}
MARKERS = {"chance": "x", "single": "s", "multi": "^", "egopack": "o"}
WIDTH, HEIGHT = 4.3, 2.7  # inches, of 72 units each
TITLE = "title:"
SETTINGS: Any = {  # matplotlib names every key in its type
    "svg.fonttype": "none",
    "svg.hashsalt": "egopack",
    "path.simplify": False,
    "font.size": 9,
    "text.color": COLORS["ink"],
    "axes.edgecolor": COLORS["rule"],
    "axes.labelcolor": COLORS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLORS["rule"],
    "grid.linewidth": 0.5,
    "xtick.color": COLORS["ink"],
    "ytick.color": COLORS["ink"],
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 3,
}


@dataclass(frozen=True)
class Line:
    """Values over x, by the name in the legend; a regime's name gives it the regime's color."""

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    look: str = ""  # whose color it has, if not its own name's


@dataclass(frozen=True)
class Interval:
    """A value over x with half the width of its interval; lines of one `name` and `look` are joined."""

    name: str
    x: float
    y: float
    half: float
    look: str = ""


@dataclass
class Drawing:
    """A figure under way, and in the end its SVG; `every` are its axes where there are several, row by row."""

    figure: Figure
    axes: Axes
    every: list[Axes]
    svg: Markup = field(default_factory=Markup)


@contextmanager
def drawing(
    alt: str, x: str, y: str, height: float = HEIGHT, width: float = WIDTH, shape: tuple[int, int] = (1, 1)
) -> Iterator[Drawing]:
    """A figure with labeled axes, `shape` of them; `alt` says in words what it shows. Its `svg` is there when the block
    ends.
    """
    with mpl.rc_context(SETTINGS):
        figure = Figure((width, height), layout="constrained")
        every = list(figure.subplots(*shape, squeeze=False).flat)
        now = Drawing(figure, every[0], every)
        now.axes.set_xlabel(x)
        now.axes.set_ylabel(y)
        yield now
        FigureCanvasSVG(figure)
        out = io.BytesIO()
        none = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", metadata=none, transparent=True)
    now.svg = Markup(_inline(out.getvalue().decode(), alt))


def _inline(svg: str, alt: str) -> str:
    """What stands inside a page: colors are its variables, fonts its own, and no id can meet another's."""
    svg = svg[svg.index("<svg") :]
    for name, stand_in in COLORS.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    svg = re.sub(r"\s*<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r" transform=\"rotate\(-0 [^)]*\)\"", "", svg)
    svg = re.sub(rf'<g id="{TITLE}([^"]*)">', r"<g><title>\1</title>", svg)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r"\d+\.\d{3,}(?=[^<>]*>)", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    size = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    assert size is not None, "matplotlib writes a viewBox"
    head = f'<svg class="figure" role="img" aria-label="{escape(alt)}" viewBox='
    return re.sub(r"<svg[^>]*?viewBox=", lambda _: head, svg, count=1).strip()


def standalone(svg: str) -> str:
    """A figure as a file of its own, in light colors."""
    for name, color in LIGHT.items():
        svg = svg.replace(f"var(--{name})", color)
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found is not None, "a figure has a viewBox"
    wide, high = found.groups()
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="{wide}" height="{high}" font-family="sans-serif" '
    paper = f'<rect width="{wide}" height="{high}" fill="{LIGHT["paper"]}"/>'
    return re.sub(r"<svg ([^>]*)>", lambda tag: f"{head}{tag[1]}>{paper}", svg, count=1) + "\n"


def told(artist: Artist, text: str) -> None:
    """Give an artist a title, which the page shows under the pointer."""
    artist.set_gid(TITLE + text)


def lines(
    alt: str,
    x: str,
    y: str,
    shown: Sequence[Line],
    *,
    marks: bool = False,
    limits: tuple[float, float] | None = None,
    whole: bool = False,
) -> Markup:
    """Lines over x; `whole` where x counts something."""
    with drawing(alt, x, y) as now:
        for line in shown:
            look = line.look or line.name
            (artist,) = now.axes.plot(
                line.x,
                line.y,
                label=line.name,
                color=COLORS.get(look, COLORS["ink"]),
                linestyle=DASHES.get(look, "-"),
                marker=MARKERS.get(look, ".") if marks else "",
            )
            told(artist, line.name)
        if limits is not None:
            now.axes.set_ylim(*limits)
        if whole:
            now.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(shown) > 1:
            now.axes.legend(fontsize=8)
    return now.svg


def bars(
    alt: str, y: str, names: Sequence[str], shown: Mapping[str, Sequence[float]], *, x: str = "", digits: int = 1
) -> Markup:
    """Groups of bars, one group a name and one bar of it a regime; lying where names are many."""
    lying = len(names) > 8
    height = max(HEIGHT, 0.13 * len(names) * max(len(shown), 1) + 0.8) if lying else HEIGHT
    with drawing(alt, y if lying else x, x if lying else y, height) as now:
        place, width = np.arange(len(names)), 0.8 / max(len(shown), 1)
        for number, (name, values) in enumerate(shown.items()):
            at = place + (number - (len(shown) - 1) / 2) * width
            draw = now.axes.barh if lying else now.axes.bar
            drawn = draw(at, np.nan_to_num(values), width, label=name, color=COLORS.get(name, COLORS["ink"]))
            for bar, label, value in zip(drawn, names, values, strict=True):
                told(bar, f"{name}, {label}: {value:.{digits}f}")
        ticks = now.axes.set_yticks if lying else now.axes.set_xticks
        ticks(place, names)
        if lying:
            now.axes.invert_yaxis()
            now.axes.set_ylim(len(names) - 0.5, -0.5)
        now.axes.grid(visible=False, axis="y" if lying else "x")
        if len(shown) > 1:
            now.axes.legend(fontsize=8)
    return now.svg


def stacked(alt: str, x: str, y: str, names: Sequence[str], parts: Mapping[str, Sequence[float]]) -> Markup:
    """Bars of parts on top of each other, one bar a name."""
    with drawing(alt, x, y) as now:
        bottom = np.zeros(len(names))
        for number, (part, values) in enumerate(parts.items()):
            drawn = now.axes.bar(names, values, bottom=bottom, label=part, color=COLORS[f"part{number}"], width=0.85)
            for bar, name, value in zip(drawn, names, values, strict=True):
                told(bar, f"{part}, {name}: {value:.1f}")
            bottom = bottom + np.asarray(values)
        now.axes.grid(visible=False, axis="x")
        now.figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    return now.svg


def intervals(alt: str, x: str, panels: Mapping[str, Sequence[Interval]]) -> Markup:
    """Values with their intervals over x, one panel a title, and in each a line of zero."""
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    with drawing(alt, x, "", HEIGHT * 0.85 * rows + 0.4, WIDTH * 0.62 * columns + 0.4, (rows, columns)) as now:
        labels: dict[str, Artist] = {}
        for axes, (title, shown) in zip(now.every, panels.items(), strict=False):
            axes.set_title(title, fontsize=9)
            axes.set_xlabel(x)
            axes.set_ylabel("gain")
            axes.axhline(0, color=COLORS["ink"], linewidth=0.8)
            places = sorted({one.x for one in shown})
            names = list(dict.fromkeys(one.name for one in shown))
            for number, name in enumerate(names):
                own = sorted((one for one in shown if one.name == name), key=lambda one: one.x)
                look, dodge = own[0].look or name, 0.08 * (number - (len(names) - 1) / 2)
                drawn = axes.errorbar(
                    [places.index(one.x) + dodge for one in own],
                    [one.y for one in own],
                    [one.half if np.isfinite(one.half) else 0 for one in own],
                    color=COLORS.get(look, COLORS["ink"]),
                    linestyle=("-", "--", ":", "-.")[number % 4],
                    marker=MARKERS.get(look, "."),
                    capsize=2,
                )
                labels.setdefault(name, drawn[0])
                told(drawn[0], f"{title}, {name}")
            axes.set_xticks(range(len(places)), [f"{place:g}" for place in places])
        for axes in now.every[len(panels) :]:
            axes.set_visible(False)
        now.figure.legend(labels.values(), labels, loc="outside lower center", ncols=4, fontsize=8)
    return now.svg


def cells(
    alt: str, x: str, y: str, columns: Sequence[str], rows: Sequence[str], shown: Mapping[tuple[str, str], Interval]
) -> Markup:
    """A table of values (row, column) with their intervals, in the color of what is better or worse, the stronger the
    surer: a value at the end of its interval, so that zero lies on the other one, or beyond has the full color.
    """
    with drawing(alt, x, y, 0.36 * len(rows) + 0.9, 0.95 * len(columns) + 1.6) as now:
        for (row, column), one in shown.items():
            sure = min(abs(one.y) / one.half, 1.0) if one.half > 0 else 0.0
            at = (columns.index(column) - 0.5, rows.index(row) - 0.5)
            color = COLORS["egopack" if one.y > 0 else "multi"]
            patch = Rectangle(at, 1, 1, facecolor=color, alpha=0.55 * sure, edgecolor="none")
            told(patch, f"{row}, {column}: {one.y:+.3g} ± {one.half:.2g}")
            now.axes.add_patch(patch)
            text = f"{one.y:+.2g} ± {one.half:.2g}" if np.isfinite(one.half) else f"{one.y:+.2g}"
            now.axes.text(at[0] + 0.5, at[1] + 0.5, text, ha="center", va="center", fontsize=7.5)
        now.axes.set_xlim(-0.5, len(columns) - 0.5)
        now.axes.set_ylim(len(rows) - 0.5, -0.5)
        now.axes.set_xticks(range(len(columns)), columns)
        now.axes.set_yticks(range(len(rows)), rows)
        now.axes.grid(visible=False)
    return now.svg
