from __future__ import annotations

from egopack.ego4d.skips import Skips


def test_counts_all_and_names_the_first_five() -> None:
    skips = Skips()
    for i in range(7):
        skips.add("no file", f"v{i}")
    skips.add("damaged", "w")
    assert skips.to_dict() == {
        "damaged": {"count": 1, "examples": ["w"]},
        "no file": {"count": 7, "examples": ["v0", "v1", "v2", "v3", "v4"]},
    }
    assert list(skips.to_dict()) == ["damaged", "no file"]
    assert len(skips) == 8
    assert repr(skips) == "Skips(damaged: 1, no file: 7)"


def test_merge_adds_what_another_counted() -> None:
    first, second = Skips(), Skips()
    for i in range(3):
        first.add("no file", f"a{i}")
        second.add("no file", f"b{i}")
    first.merge(second.to_dict())
    assert first.to_dict() == {"no file": {"count": 6, "examples": ["a0", "a1", "a2", "b0", "b1"]}}


def test_an_empty_one_is_empty() -> None:
    assert len(Skips()) == 0
    assert Skips().to_dict() == {}


def test_merged_counts_are_those_of_items_not_of_examples() -> None:
    many, other = Skips(), Skips()
    for number in range(9):
        many.add("a", str(number))
    other.add("a", "x")
    other.merge(many.to_dict())
    assert other.to_dict() == {"a": {"count": 10, "examples": ["x", "0", "1", "2", "3"]}}
