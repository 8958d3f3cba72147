"""What the files give twice, held against itself: frames and seconds, rows and durations, ids and names, splits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from egopack.ego4d.skips import Counted
from egopack.params import Tolerable

SHARE = 0.005  # of an item, beside what rounding explains: 29.97 frames a second counted as 30 is 0.001
WHOLE_SET = 0.01  # median difference from which on it is not some items that are wrong, but what was declared of all
TELLING = 20  # times what rounding explains: smaller quantities say nothing of a share
FEW = 0.1  # of names and splits: a class spelled in two ways is few, ids of another version are not
WORST = 10


def no_cause(ratio: float) -> str:
    """Of what has no likely cause."""
    return ""


@dataclass
class Twice:
    """A quantity that the files give twice, of many items.

    kind: what `data.tolerate` calls it
    what: the two places that give it
    unit: of both values; empty where they are only the same or not
    slack: the difference that rounding explains
    cause: from the median of one / other to the likely cause, in words
    """

    kind: Tolerable
    what: str
    unit: str = "s"
    slack: float = 0.0
    cause: Callable[[float], str] = no_cause
    items: list[str] = field(default_factory=list)
    one: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)

    def add(self, item: str, one: Any, other: Any) -> None:
        """An item and its two values; one that lacks either says nothing."""
        if is_number(one) and is_number(other):
            self.items.append(item)
            self.one.append(float(one))
            self.other.append(float(other))

    def add_same(self, item: str, same: bool) -> None:
        """An item for which two values that are no numbers are the same or not."""
        self.add(item, 1.0 if same else 2.0, 1.0)

    def differing(self) -> Counted | None:
        """The items whose values differ by more than rounding, the worst as examples; None if there are none."""
        difference, larger = self._arrays()
        off = np.flatnonzero(difference > self.slack + SHARE * larger)
        if not len(off):
            return None
        worst = off[np.argsort(-difference[off], kind="stable")][:WORST]
        return {"count": len(off), "examples": [self._shown(k) for k in worst]}

    def whole_set(self) -> str:
        """What is wrong with all of them, if the median is off; else an empty text."""
        difference, larger = self._arrays()
        telling = np.flatnonzero(larger >= TELLING * self.slack)
        share = difference[telling] / np.maximum(larger[telling], np.finfo(float).tiny)
        middle = 0.5 if self.unit else 1 - FEW
        median = float(np.quantile(share, middle, method="lower")) if len(telling) else 0.0
        found = self.differing()
        if median <= WHOLE_SET or not found:
            return ""
        one, other = np.array(self.one)[telling], np.array(self.other)[telling]
        ratio = float(np.median(one[other != 0] / other[other != 0])) if (other != 0).any() else math.nan
        by = f", by {median:.1%} of the larger in the median" if self.unit else ""
        because = self.cause(ratio)
        return (
            f"{self.what} differ for {found['count']:,} of {len(self.items):,} items{by}"
            f"{'; likely cause: ' + because if because else ''}; worst: {'; '.join(found['examples'])}; "
            f"mend the data or what params.yaml says of it, or add {self.kind} to data.tolerate"
        )

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        one, other = np.array(self.one), np.array(self.other)
        return np.abs(one - other), np.maximum(np.abs(one), np.abs(other))

    def _shown(self, item: int) -> str:
        values = f": {self.one[item]:.7g} and {self.other[item]:.7g} {self.unit}" if self.unit else ""
        return self.items[item] + values


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that can be computed with."""
    return type(value) in (int, float) and math.isfinite(value)


def frames_fit(fps: float) -> Callable[[float], str]:
    """The cause of frames / fps that differ from seconds."""
    return lambda ratio: f"frames fit {near(fps * ratio)} frames a second, not {fps:g} (data.features)"


def near(value: float) -> str:
    """A number that was measured, as the whole number that it is close to."""
    whole = round(value)
    return str(whole) if whole and abs(value / whole - 1) < SHARE else f"{value:.4g}"


def end_in_video(ends: Twice, item: str, end_s: Any, video_s: float | None) -> None:
    """Add an end, in seconds, that must not lie past that of its video."""
    if is_number(end_s) and video_s is not None:
        ends.add(item, end_s, min(end_s, video_s))


def same_split(given: Any, split: str) -> bool:
    """Whether the files' word for a split (test) names that of a file (test_unannotated)."""
    return given in (split, split.split("_")[0])
