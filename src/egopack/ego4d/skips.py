"""Counts of what was left out: nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict


class Counted(TypedDict):
    """What was left out for one reason."""

    count: int
    examples: list[str]  # the first five


Skipped = dict[str, Counted]  # by reason


class Skips:
    """Items left out, by reason: how many, and the first five by name.

    A stage makes one, hands it to every reader and puts `to_dict()` into its report.
    """

    examples_kept = 5

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, reason: str, item: str) -> None:
        """Count `item` under `reason`; `item` names it so that a user finds it (a file, a uid, a place in a file)."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < self.examples_kept:
            examples.append(item)

    def merge(self, counted: Mapping[str, Counted]) -> None:
        """Add what another `to_dict()` counted."""
        for reason, entry in counted.items():
            self._counts[reason] = self._counts.get(reason, 0) + entry["count"]
            examples = self._examples.setdefault(reason, [])
            examples.extend(entry["examples"][: self.examples_kept - len(examples)])

    def to_dict(self) -> Skipped:
        """What was left out, sorted by reason."""
        return {
            reason: {"count": count, "examples": list(self._examples[reason])}
            for reason, count in sorted(self._counts.items())
        }

    def __len__(self) -> int:
        return sum(self._counts.values())

    def __repr__(self) -> str:
        return f"Skips({', '.join(f'{reason}: {count}' for reason, count in sorted(self._counts.items()))})"
