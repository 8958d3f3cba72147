"""The report's page: sections under a menu, light and dark, in one file that needs nothing else, and tells the browser
to fetch nothing. Tables and figures as they stand in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from egopack.report import timeline


@dataclass(frozen=True)
class Section:
    """A part of the page: its `anchor`, what the menu calls it, and its HTML."""

    anchor: str
    title: str
    body: Markup


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The whole file; `lead` is what it says first."""
    style, script = Markup(timeline.STYLE + STYLE), Markup(timeline.SCRIPT)
    return _PAGE.render(title=title, lead=lead, sections=sections, style=style, script=script)


def digits(value: float | None) -> str:
    """A score as the comparison writes it."""
    return "" if value is None else f"{value:.2f}" if abs(value) >= 2 else f"{value:.3f}"


def table(header: Sequence[object], rows: Sequence[Sequence[object]], label: str) -> Markup:
    """A table whose first column names the rows; wide ones scroll by themselves. `label` names it to screen readers."""
    return Markup(_TABLE.render(header=header, rows=rows, label=label))


def figure(content: str, caption: str) -> Markup:
    """A drawing or a table with what it says."""
    return Markup(_FIGURE.render(content=Markup(content), caption=caption))


def confusion(counts: np.ndarray, names: Sequence[str], caption: str) -> Markup:
    """Counts [truth, predicted] as a table of the percentages of each row, darker where more."""
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    rows = [
        {
            "name": name,
            "count": int(total[row, 0]),
            "cells": [
                {
                    "share": f"{share[row, column]:.2f}".removeprefix("0"),
                    "percent": f"{100 * share[row, column]:.0f}" if counts[row, column] else "",
                    "told": f"{name} as {other}: {counts[row, column]}",
                    "dark": share[row, column] > 0.55,
                    "right": row == column,
                }
                for column, other in enumerate(names)
            ],
        }
        for row, name in enumerate(names)
    ]
    wide = ' class="wide"' if len(names) > 6 else ""
    return Markup(_CONFUSION.render(names=names, rows=rows, caption=caption, wide=Markup(wide)))


# colors for both: Okabe and Ito's, in the dark its lighter ones, so that lines keep a contrast of 3 to 1
STYLE = """
:root { --chance: #6b6b6b; --single: #0072b2; --multi: #b85200; --egopack: #007f5f;
  --part0: #009e73; --part1: #56b4e9; --part2: #e69f00; --part3: #0072b2; --part4: #cc79a7; --part5: #8a8a8a; }
@media (prefers-color-scheme: dark) { :root { --chance: #a8a8a8; --single: #56b4e9; --multi: #e69f00;
  --egopack: #2fc79a; --part3: #4a9fe0; --part5: #b0b0b0; } }
body { max-width: 84rem; }
h2 { border-top: 2px solid var(--rule); padding-top: 1rem; margin-top: 2.5rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; padding: 0; }
a { color: var(--single); }
a:focus-visible, [tabindex]:focus-visible, summary:focus-visible { outline: 3px solid var(--single); }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 1.2rem; }
.figures figure.wide { grid-column: 1 / -1; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .85rem; max-width: 46rem; }
svg.figure { width: 100%; max-width: 30rem; height: auto; display: block; stroke-linejoin: round;
  font-family: system-ui, sans-serif; }
svg.figure text { fill: var(--ink); }
.scroll { overflow-x: auto; }
.scroll > table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
.scroll th, .scroll td { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid var(--rule);
  font-weight: 400; }
.scroll thead th { font-weight: 600; vertical-align: bottom; }
.scroll tbody th, .scroll thead th:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); }
.scroll > table.confusion { font-size: .7rem; }
.confusion td { min-width: 1.6rem; padding: .1rem; text-align: center; border: 1px solid var(--rule);
  background: color-mix(in srgb, var(--single) calc(100% * var(--s, 0)), var(--paper)); }
.confusion td.dark { color: var(--paper); }
.confusion td.right { outline: 2px solid var(--ink); outline-offset: -2px; }
.confusion td.count { background: none; border: none; text-align: right; padding-left: .5rem; }
.confusion th.up { padding: .1rem; text-align: left; }
.confusion th.up span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.note { font-size: .85rem; max-width: 60rem; }
details { margin: .6rem 0; }
summary { cursor: pointer; }
"""

_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)

_PAGE = _ENVIRONMENT.from_string("""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{{ title }}</title><style>{{ style }}</style></head>
<body>
<header><h1>{{ title }}</h1>
<p class="note">{{ lead }}</p>
<nav aria-label="sections"><ul>
{% for section in sections %}
<li><a href="#{{ section.anchor }}">{{ section.title }}</a></li>
{% endfor %}
</ul></nav></header>
<main>
{% for section in sections %}
<section id="{{ section.anchor }}"><h2>{{ section.title }}</h2>
{{ section.body }}
</section>
{% endfor %}
</main>
<script>{{ script }}</script>
</body>
</html>
""")

_TABLE = _ENVIRONMENT.from_string("""\
<div class="scroll" tabindex="0" role="region" aria-label="{{ label }}"><table>
<thead><tr>{% for cell in header %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for cell in row %}{% if loop.first %}<th scope="row">{{ cell }}</th>{% else %}<td>{{ cell }}</td>{% endif %}\
{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
""")

_FIGURE = _ENVIRONMENT.from_string("""\
<figure>
{{ content }}
<figcaption>{{ caption }}</figcaption>
</figure>
""")

_CONFUSION = _ENVIRONMENT.from_string("""\
<figure{{ wide }}><div class="scroll" tabindex="0" role="region" aria-label="{{ caption }}"><table class="confusion">
<thead><tr><th scope="col">true ↓ predicted →</th>{% for name in names %}<th scope="col" class="up"><span>{{ name }}\
</span></th>{% endfor %}<th scope="col">count</th></tr></thead>
<tbody>
{% for row in rows %}
<tr><th scope="row">{{ row.name }}</th>{% for cell in row.cells %}<td style="--s:{{ cell.share }}"\
{% if cell.dark or cell.right %} class="{{ "dark" if cell.dark }}{{ " right" if cell.right }}"{% endif %} \
title="{{ cell.told }}">{{ cell.percent }}</td>{% endfor %}<td class="count">{{ row.count }}</td></tr>
{% endfor %}
</tbody></table></div>
<figcaption>{{ caption }}</figcaption>
</figure>
""")
