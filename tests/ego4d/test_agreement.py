"""Two values of one quantity: what rounding explains, what is counted, what is wrong with all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egopack.ego4d.agreement import Twice, end_in_video, frames_fit, same_split


def filled(one: list[float], other: list[float], slack: float = 0.1) -> Twice:
    twice = Twice("seconds", "this and that", slack=slack, cause=frames_fit(30.0))
    for k, (a, b) in enumerate(zip(one, other, strict=True)):
        twice.add(f"item {k}", a, b)
    return twice


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (10.02, 10.0, False),  # an end 0.02 s past
        (359.64, 360.0, False),  # six minutes of 29.97 frames a second counted as 30
        (0.0, 0.09, False),
        (0.0, 0.11, True),
        (100.0, 101.0, True),
        (-3.0, 3.0, True),
        (1e9, 1e9 + 4e6, False),
    ],
)
def test_rounding_is_no_disagreement(one: float, other: float, differs: bool) -> None:
    for twice in (filled([one], [other]), filled([other], [one])):
        assert (twice.differing() is not None) == differs


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=40))
def test_the_ten_worst_are_named_in_their_order(pairs: list[tuple[float, float]]) -> None:
    found = filled([a for a, _ in pairs], [b for _, b in pairs]).differing()
    off = {k: abs(a - b) for k, (a, b) in enumerate(pairs) if abs(a - b) > 0.1 + 0.005 * max(a, b)}
    assert (found["count"] if found else 0) == len(off)
    if found:
        named = [int(text.split()[1].rstrip(":")) for text in found["examples"]]
        assert [off[k] for k in named] == sorted(off.values(), reverse=True)[:10]


def test_a_set_is_wrong_when_half_of_it_is() -> None:
    right, wrong = [100.0] * 6, [125.0] * 6
    text = filled([*wrong, 100.0], [*right, 100.0]).whole_set()
    assert "differ for 6 of 7 items, by 20.0% of the larger in the median" in text
    assert "likely cause: frames fit 37.5 frames a second, not 30" in text
    assert "worst: item 0: 125 and 100 s; " in text
    assert text.endswith("or add seconds to data.tolerate")
    assert filled([*wrong[:3], *right[:4]], [100.0] * 7).whole_set() == ""  # some items
    assert filled([*wrong[:3], *right[:3]], [100.0] * 6).whole_set() == ""  # as many are right


def test_short_ones_tell_nothing_of_a_share() -> None:
    assert filled([0.3] * 9, [0.2] * 9).whole_set() == ""
    assert filled([0.0] * 9, [0.0] * 9).whole_set() == ""
    assert filled([], []).whole_set() == ""


@pytest.mark.parametrize("value", [None, "12", True, float("nan"), [1.0], float("inf")])
def test_what_is_no_number_is_not_compared(value: object) -> None:
    twice = Twice("rate", "this and that")
    twice.add("item", value, 1.0)
    twice.add("item", 1.0, value)
    end_in_video(twice, "item", value, 10.0)
    end_in_video(twice, "item", 20.0, None)
    assert twice.items == []


def test_names_are_the_same_or_not() -> None:
    twice = Twice("names", "names and ids", "")
    for k in range(100):
        twice.add_same(f"item {k}", k >= 9)
    found = twice.differing()
    assert found is not None
    assert found["count"] == 9
    assert found["examples"] == [f"item {k}" for k in range(9)]
    assert twice.whole_set() == ""  # a class spelled in two ways
    for k in range(3):
        twice.add_same(f"more {k}", False)
    assert "differ for 12 of 103 items; worst: item 0; " in twice.whole_set()


def test_an_end_may_not_lie_past_its_video() -> None:
    ends = Twice("ends", "ends", slack=0.05)
    for k, end in enumerate((99.0, 100.02, 140.0, -5.0)):
        end_in_video(ends, f"clip {k}", end, 100.0)
    found = ends.differing()
    assert found is not None
    assert found["examples"] == ["clip 2: 140 and 100 s"]


def test_the_words_of_splits() -> None:
    assert same_split("test", "test_unannotated")
    assert same_split("test_unannotated", "test_unannotated")
    assert not any(same_split(given, "val") for given in ("train", "test", None, "", ["val"]))


def test_thousands_are_judged_at_once() -> None:
    values = np.linspace(10, 1000, 5000).tolist()
    assert filled(values, values).differing() is None
