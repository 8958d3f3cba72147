"""Timelines: what is drawn where, what is hidden, what is said, and that nothing of a label is taken for HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from egopack.report.timeline import COLORS, LANES, Row, Span, clock, colors_of, draw, lanes, page, ticks

ROWS = [
    Row("MQ truth", [Span(10, 20, "cut dough"), Span(50, 60, "wash hands")]),
    Row("MQ predicted", [Span(11, 19, "cut dough", 0.9), Span(12, 22, "wash hands", 0.2)]),
    Row("PNR", [Span(30, 30, "keyframe", 0.5, note="frame 900")]),
]


class Elements(HTMLParser):
    """All elements with their attributes, and whether every one that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("input", "meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_segments_lie_where_they_are_in_time() -> None:
    elements = Elements(draw(ROWS, title="a clip", seconds=100))
    assert elements.open == []
    placed = [attrs for tag, attrs in elements.found if tag == "svg" and "width" in attrs]
    assert [(one["x"], one["width"]) for one in placed] == [
        *(("10.000%", "10.000%"), ("50.000%", "10.000%")),
        *(("11.000%", "8.000%"), ("12.000%", "10.000%")),
    ]
    assert [attrs["x"] for tag, attrs in elements.found if tag == "svg" and attrs.get("overflow")] == ["30.000%"]


def test_what_scores_less_is_hidden_and_what_has_no_score_is_not() -> None:
    spans = [attrs for tag, attrs in Elements(draw(ROWS, title="a", seconds=100, threshold=0.3)).found if tag == "g"]
    assert [one.get("data-score") for one in spans] == [None, None, "0.9", "0.2", "0.5"]
    assert [one.get("style") for one in spans] == [None, None, None, "display:none", None]


def test_no_slider_where_nothing_has_a_score() -> None:
    assert 'name="score"' in draw(ROWS, title="a", seconds=100)
    assert 'name="score"' not in draw(ROWS[:1], title="a", seconds=100)


def test_every_segment_is_told_in_the_figure_and_in_the_table() -> None:
    text = draw(ROWS, title="a", seconds=100)
    for told in ("cut dough · 0:11–0:19 · score 0.90", "keyframe · 0:30 · score 0.50 · frame 900"):
        assert f"<title>{told}</title>" in text
        assert f"<td>{told}</td>" in text


def test_segments_that_overlap_do_not_share_a_lane_and_the_best_come_first() -> None:
    spans = [Span(0, 10, "a", score / 10) for score in range(LANES + 2)] + [Span(10, 20, "b", 0.01)]
    assert lanes(spans) == [None, None, *range(LANES - 1, -1, -1), 0]
    text = draw([Row("row", spans)], title="a", seconds=20)
    assert "row · 2 more that overlap are in the table alone" in text
    assert text.count("<td>a · ") == LANES + 2


def test_a_label_has_one_color_in_all_rows() -> None:
    colors = colors_of(ROWS)
    assert colors == {"cut dough": COLORS[0], "wash hands": COLORS[1], "keyframe": COLORS[2]}
    assert len(set(COLORS)) == len(COLORS)


def test_nothing_of_a_label_or_a_title_is_taken_for_html() -> None:
    text = draw([Row('"><i>', [Span(0, 1, "</title><script>alert(1)</script>")])], title="<b>&", seconds=2)
    assert {tag for tag, _ in Elements(text).found}.isdisjoint({"script", "i", "b"})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (61.26, "1:01.3"), (59.96, "1:00"), (3599.99, "1:00:00"), (7325, "2:02:05"), (-1, "0:00")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize("seconds", [0.5, 8, 300, 593.2, 7200, 200_000])
def test_ticks_are_few_and_within(seconds: float) -> None:
    found = ticks(seconds)
    assert found[0] == 0
    assert found[-1] <= seconds
    assert len(found) <= 13
    assert len(found) >= min(4, int(seconds) + 1)


def test_a_page_asks_for_nothing_from_elsewhere() -> None:
    text = page("Predictions", draw(ROWS, title="a", seconds=100))
    elements = Elements(text)
    assert elements.open == []
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert not [attrs for _, attrs in elements.found if "src" in attrs]
    assert text == page("Predictions", draw(ROWS, title="a", seconds=100))
