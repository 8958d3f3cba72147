"""Figures as they stand in the page."""

from __future__ import annotations

import re

from egopack.report.figures import COLORS, Line, bars, lines, stacked

SHOWN = [Line("single", [1, 2, 3], [3, 2, 1]), Line("egopack", [1, 2], [2.5, 0.123456789])]


def test_same_numbers_give_the_same_bytes() -> None:
    assert lines("loss", "epoch", "loss", SHOWN) == lines("loss", "epoch", "loss", SHOWN)


def test_colors_are_the_pages_and_fonts_its_own() -> None:
    drawn = lines("a <loss>", "epoch", "loss", SHOWN, marks=True, limits=(0, 4), whole=True)
    for name in ("ink", "rule", "single", "egopack"):
        assert f"var(--{name})" in drawn
    assert not re.search(r"#0[01]|#fff|font-family", drawn)
    assert drawn.startswith('<svg class="figure" role="img" aria-label="a &lt;loss&gt;" viewBox=')
    assert not re.search(r"\d\.\d{3}", drawn)
    assert len(set(COLORS.values())) == len(COLORS)


def test_lines_and_bars_say_what_they_are() -> None:
    assert "<title>egopack</title>" in lines("x", "x", "y", SHOWN)
    drawn = bars("b", "AP", ["cut & peel", "wash"], {"single": [12.34, 5], "egopack": [float("nan"), 7]})
    assert "<title>single, cut &amp; peel: 12.3</title>" in drawn
    assert "<title>egopack, wash: 7.0</title>" in drawn
    parts = stacked("s", "rank", "percent", ["1G", "2G"], {"right": [60, 40], "wrong": [40, 60]})
    assert "<title>wrong, 2G: 60.0</title>" in parts


def test_ids_are_only_those_that_are_referred_to() -> None:
    drawn = bars("b", "AP", [f"class {index}" for index in range(12)], {"single": list(range(12))})
    used = set(re.findall(r"url\(#(\w+)\)", drawn)) | set(re.findall(r'href="#(\w+)"', drawn))
    assert set(re.findall(r' id="(\w+)"', drawn)) <= used
