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


@dataclass
class Drawing:
    """A figure under way, and in the end its SVG."""

    figure: Figure
    axes: Axes
    svg: Markup = field(default_factory=Markup)


@contextmanager
def drawing(alt: str, x: str, y: str, height: float = HEIGHT) -> Iterator[Drawing]:
    """A figure with labeled axes; `alt` says in words what it shows. Its `svg` is there when the block ends."""
    with mpl.rc_context(SETTINGS):
        figure = Figure((WIDTH, height), layout="constrained")
        now = Drawing(figure, figure.subplots())
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
    svg = re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    size = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    assert size is not None, "matplotlib writes a viewBox"
    head = f'<svg class="figure" role="img" aria-label="{escape(alt)}" viewBox='
    return re.sub(r"<svg[^>]*?viewBox=", lambda _: head, svg, count=1).strip()


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
