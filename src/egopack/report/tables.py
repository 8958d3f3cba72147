"""Tables of the report, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)


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
