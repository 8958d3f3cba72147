"""A budget of labels: a task trains on the labels of some of the training videos alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from egopack.data.samples import Sample
from egopack.ego4d.skips import Skips
from egopack.params import BudgetParams

BEYOND = "sample of a video beyond the budget of labels"


def ordered(uids: Iterable[str], seed: int) -> list[str]:
    """The videos in an order that depends on nothing but their uids and the seed: of two sets of videos, those in both
    stand in the same order, and a video that is added moves no other.
    """
    return sorted(set(uids), key=lambda uid: hashlib.sha256(f"{seed} {uid}".encode()).digest())


def within(samples: Sequence[Sample], budget: BudgetParams, skips: Skips) -> list[Sample]:
    """The samples of the videos that a budget has labels on, in their order; the others are counted as skipped."""
    order = ordered((sample.video_uid for sample in samples), budget.seed)[budget.skip :]
    chosen = {*(order[: budget.videos] if budget.videos else order)}
    for sample in samples:
        if sample.video_uid not in chosen:
            skips.add(BEYOND, sample.key)
    return [sample for sample in samples if sample.video_uid in chosen]
