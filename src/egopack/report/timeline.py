"""Timelines: rows of segments over a time axis, as HTML with inline SVG that needs nothing else.

`draw` makes one figure, `page` a whole file of figures. In a figure, a slider hides what scores less and another one
stretches time; every segment says what it is under the pointer and, tapped, below the figure; the same stands as a
table for keyboards and screen readers. One label has one color in all rows, and its name where it fits: no color says
anything alone. Without scripts the figure stands as it was drawn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999")  # Okabe and Ito's
WHITE_TEXT = "#0072b2"  # the one of them on which black is hard to read
LANES = 6  # most segments of a row that are drawn above each other
LANE = 20  # height of one, in pixels
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds between ticks
TICKS = 12  # most of them


@dataclass(frozen=True)
class Span:
    """A segment of a row, in seconds; one of no length is an instant, drawn as a mark. `score` is from 0 to 1; what has
    none is always shown. `note` is told besides.
    """

    start: float
    end: float
    label: str
    score: float | None = None
    note: str = ""

    def told(self) -> str:
        """The segment in words."""
        when = clock(self.start) if self.end <= self.start else f"{clock(self.start)}–{clock(self.end)}"
        score = "" if self.score is None else f" · score {self.score:.2f}"
        return f"{self.label} · {when}{score}" + (f" · {self.note}" if self.note else "")


@dataclass(frozen=True)
class Row:
    """One line of a figure: `name` says of which task, and whether it is the truth or what was predicted."""

    name: str
    spans: Sequence[Span]


def draw(rows: Sequence[Row], *, title: str, seconds: float, threshold: float = 0.0) -> str:
    """A figure of `seconds` of video, as HTML for a page with `STYLE` and `SCRIPT`.

    What scores less than `threshold` is hidden until the slider is moved. Of segments that overlap the best LANES are
    drawn; how many are not is said, and all are in the table.
    """
    seconds = max(seconds, 1e-3)
    colors = colors_of(rows)
    drawn = [_row(row, seconds, threshold, colors) for row in rows]
    at = [{"at": f"{100 * tick / seconds:.3f}", "text": clock(tick)} for tick in ticks(seconds)]
    scored = any(span.score is not None for row in rows for span in row.spans)
    return _FIGURE.render(title=title, rows=drawn, ticks=at, threshold=threshold, scored=scored)


def page(title: str, body: str) -> str:
    """A whole HTML file of figures, or of whatever `body` is."""
    return _PAGE.render(title=title, body=Markup(body), style=Markup(STYLE), script=Markup(SCRIPT))


def colors_of(rows: Sequence[Row]) -> dict[str, str]:
    """A color for each label, those that occur most first; there are more labels than colors."""
    counts = Counter(span.label for row in rows for span in row.spans)
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    return {label: COLORS[place % len(COLORS)] for place, label in enumerate(ranked)}


def clock(seconds: float) -> str:
    """m:ss.s, or h:mm:ss from an hour on; whole seconds without a fraction."""
    tenths = round(max(seconds, 0.0) * 10)
    minutes, rest = divmod(tenths, 600)
    if minutes >= 60:
        return f"{minutes // 60}:{minutes % 60:02d}:{rest // 10:02d}"
    return f"{minutes}:{rest // 10:02d}" + (f".{rest % 10}" if rest % 10 else "")


def ticks(seconds: float) -> list[float]:
    """Where the axis has marks: at most TICKS of them, at whole numbers of what clocks count in."""
    step = next((step for step in STEPS if seconds / step <= TICKS), 3600 * math.ceil(seconds / 3600 / TICKS))
    return [float(tick) for tick in range(0, math.floor(seconds) + 1, step)]


def lanes(spans: Sequence[Span]) -> list[int | None]:
    """The lane of each segment, so that none overlaps another there: the best choose first; None where LANES are
    taken.
    """
    taken: list[list[Span]] = [[] for _ in range(LANES)]
    found: list[int | None] = [None] * len(spans)
    for index in sorted(range(len(spans)), key=lambda at: (-_worth(spans[at]), spans[at].start, at)):
        span = spans[index]
        for lane, others in enumerate(taken):
            if all(span.end <= other.start or other.end <= span.start for other in others):
                found[index] = lane
                others.append(span)
                break
    return found


def _worth(span: Span) -> float:
    return math.inf if span.score is None else span.score


def _row(row: Row, seconds: float, threshold: float, colors: dict[str, str]) -> dict[str, Any]:
    """What the template shows of a row."""
    shapes, where = [], lanes(row.spans)
    for span, lane in zip(row.spans, where, strict=True):
        if lane is not None:
            shapes.append(
                {
                    "x": f"{100 * span.start / seconds:.3f}",
                    "width": f"{100 * (span.end - span.start) / seconds:.3f}",
                    "instant": span.end <= span.start,
                    "y": lane * LANE + 1,
                    "label": span.label,
                    "told": span.told(),
                    "score": None if span.score is None else f"{span.score:.4g}",
                    "hidden": span.score is not None and span.score < threshold,
                    "color": colors[span.label],
                    "text": "#fff" if colors[span.label] == WHITE_TEXT else "#000",
                }
            )
    height = LANE * (1 + max((lane for lane in where if lane is not None), default=0)) + 1
    return {"name": row.name, "height": height, "shapes": shapes, "left": where.count(None), "spans": row.spans}


STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --rule: #d0d0d0; --bed: #f3f3f3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --rule: #444; --bed: #242424; } }
body { color: var(--ink); background: var(--paper); font: 15px/1.45 system-ui, sans-serif; margin: 0 auto;
  max-width: 76rem; padding: 1rem; }
.timeline { margin: 1.2rem 0; }
.timeline figcaption { font-weight: 600; }
.timeline .controls { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; font-size: .85rem; }
.timeline input { vertical-align: middle; }
.timeline .scroll { overflow-x: auto; padding-bottom: .3rem; }
.timeline .tracks { min-width: 100%; }
.timeline .name { position: sticky; left: 0; width: max-content; max-width: 100%; font-size: .8rem;
  margin-top: .35rem; }
.timeline svg.track { display: block; width: 100%; background: var(--bed); }
.timeline line { stroke: var(--rule); }
.timeline .axis text { font-size: 11px; fill: var(--ink); }
.timeline .span text { font-size: 11px; }
.timeline .span { cursor: default; }
.timeline .told { min-height: 1.45em; font-size: .85rem; display: block; }
.timeline table { border-collapse: collapse; font-size: .8rem; }
.timeline th, .timeline td { text-align: left; padding: .1rem .7rem .1rem 0; border-bottom: 1px solid var(--rule); }
.timeline details > div { max-height: 20rem; overflow: auto; }
"""

SCRIPT = """
for (const figure of document.querySelectorAll('.timeline')) {
  const told = figure.querySelector('.told'), tracks = figure.querySelector('.tracks');
  for (const input of figure.querySelectorAll('input')) input.addEventListener('input', () => {
    input.nextElementSibling.textContent = input.value;
    if (input.name === 'stretch') tracks.style.width = 100 * input.value + '%';
    else for (const span of figure.querySelectorAll('[data-score]'))
      span.style.display = Number(span.dataset.score) < Number(input.value) ? 'none' : '';
  });
  for (const kind of ['click', 'pointerover']) figure.addEventListener(kind, event => {
    const span = event.target.closest('.span');
    if (span) told.textContent = span.querySelector('title').textContent;
  });
}
"""

_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)

_FIGURE = _ENVIRONMENT.from_string("""\
<figure class="timeline">
<figcaption>{{ title }}</figcaption>
<div class="controls">
{% if scored %}
<label>score from <input type="range" name="score" min="0" max="1" step="0.01" value="{{ threshold }}">
<output>{{ threshold }}</output></label>
{% endif %}
<label>stretch <input type="range" name="stretch" min="1" max="24" step="1" value="1"><output>1</output></label>
</div>
<div class="scroll" tabindex="0" role="region" aria-label="{{ title }}">
<div class="tracks">
{% for row in rows %}
<div class="name">{{ row.name }}{% if row.left %} · {{ row.left }} more that overlap are in the table alone{% endif %}
</div>
<svg class="track" height="{{ row.height }}" role="img" aria-label="{{ row.name }}">
{% for tick in ticks %}
<line x1="{{ tick.at }}%" x2="{{ tick.at }}%" y1="0" y2="100%"/>
{% endfor %}
{% for shape in row.shapes %}
<g class="span"{% if shape.score is not none %} data-score="{{ shape.score }}"{% endif %}
{%- if shape.hidden %} style="display:none"{% endif %}><title>{{ shape.told }}</title>
{%- if shape.instant %}
<svg x="{{ shape.x }}%" y="{{ shape.y }}" overflow="visible"><path d="M0 0L6 9L0 18L-6 9Z" fill="{{ shape.color }}" \
stroke="var(--ink)"/></svg>
{%- else %}
<svg x="{{ shape.x }}%" y="{{ shape.y }}" width="{{ shape.width }}%" height="18"><rect width="100%" height="18" rx="2" \
fill="{{ shape.color }}" stroke="var(--paper)"/><text x="4" y="13" fill="{{ shape.text }}">{{ shape.label }}</text>\
</svg>
{%- endif %}
</g>
{% endfor %}
</svg>
{% endfor %}
<svg class="track axis" height="16" role="img" aria-label="time">
{% for tick in ticks %}
<line x1="{{ tick.at }}%" x2="{{ tick.at }}%" y1="0" y2="4"/><text x="{{ tick.at }}%" dx="2" y="14">{{ tick.text }}\
</text>
{% endfor %}
</svg>
</div>
</div>
<output class="told" aria-live="polite"></output>
<details><summary>As a table</summary><div tabindex="0" role="region" aria-label="{{ title }}: table">
<table><tr><th>row</th><th>segment</th></tr>
{% for row in rows %}
{% for span in row.spans %}
<tr><td>{{ row.name }}</td><td>{{ span.told() }}</td></tr>
{% endfor %}
{% endfor %}
</table></div></details>
</figure>
""")

_PAGE = _ENVIRONMENT.from_string("""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{{ title }}</title><style>{{ style }}</style></head>
<body><h1>{{ title }}</h1>
{{ body }}
<script>{{ script }}</script></body>
</html>
""")
