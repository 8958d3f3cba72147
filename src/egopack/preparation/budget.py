"""A budget of labels: a task trains on the labels of some of the training videos alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from egopack.data.samples import Sample
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.videos import Footage
from egopack.params import BudgetParams

BEYOND = "sample of a video beyond the budget of labels"
ELSEWHERE = "sample of a video from another site than those of labelled"


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


def from_sites(
    samples: Sequence[Sample], budget: BudgetParams, footage: Mapping[str, Footage], skips: Skips
) -> list[Sample]:
    """The samples of videos from the sites of a budget, in their order; the others are counted as skipped."""
    if not budget.sites:
        return list(samples)
    kept = [sample for sample in samples if (one := footage.get(sample.video_uid)) and one.site in budget.sites]
    inside = {sample.key for sample in kept}
    for sample in samples:
        if sample.key not in inside:
            skips.add(ELSEWHERE, sample.key)
    return kept
