"""Budgets of labels: which training samples a task keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from egopack.data.samples import Sample
from egopack.data.splits import read_split
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.videos import Footage
from egopack.errors import UserError
from egopack.params import BudgetParams
from egopack.preparation.budget import BEYOND, ELSEWHERE, from_sites, within
from egopack.preparation.index import index_task
from egopack.tasks.base import check_task
from tests.preparation.test_index import task_of
from tests.support import small
from tests.support.params_tree import VALID, changed, refusal

# of each video two samples; mixed, so that an order of samples is none of videos
SAMPLES = [
    replace(sample, key=f"{half}{index}", video_uid=f"v{index}")
    for half in "ab"
    for index, sample in enumerate(small.samples_of("ar", 12))
]


def videos(budget: BudgetParams, samples: list[Sample] = SAMPLES) -> set[str]:
    return {sample.video_uid for sample in within(samples, budget, Skips())}


def test_so_many_videos_with_all_their_samples_and_the_others_counted() -> None:
    skips = Skips()
    kept = within(SAMPLES, BudgetParams(videos=5), skips)
    assert set(Counter(sample.video_uid for sample in kept).values()) == {2}
    assert len(kept) == 10
    assert [sample.key for sample in kept] == [s.key for s in SAMPLES if s in kept]
    assert skips.to_dict()[BEYOND]["count"] == 14
    assert within(SAMPLES, BudgetParams(), skips) == SAMPLES


def test_more_labels_are_the_same_and_others_besides() -> None:
    nested = [videos(BudgetParams(videos=count)) for count in (1, 3, 6, 12, 99)]
    assert [len(one) for one in nested] == [1, 3, 6, 12, 12]
    assert nested[0] < nested[1] < nested[2] < nested[3]


def test_tasks_of_disjoint_and_of_overlapping_videos() -> None:
    first, second, rest = (videos(BudgetParams(videos=4, skip=skip)) for skip in (0, 4, 8))
    assert first | second | rest == {f"v{index}" for index in range(12)}
    assert len(first) + len(second) + len(rest) == 12
    assert len(first & videos(BudgetParams(videos=4, skip=2))) == 2


def test_a_seed_draws_and_a_video_that_is_added_moves_no_other() -> None:
    drawn = Counter(uid for seed in range(300) for uid in videos(BudgetParams(videos=6, seed=seed)))
    assert all(110 < count < 190 for count in drawn.values())  # 150 are to be expected
    assert len(drawn) == 12
    fewer = [sample for sample in SAMPLES if sample.video_uid not in ("v3", "v7")]
    order = [min(videos(BudgetParams(videos=1, skip=skip))) for skip in range(12)]
    without = [min(videos(BudgetParams(videos=1, skip=skip), fewer)) for skip in range(10)]
    assert without == [uid for uid in order if uid not in ("v3", "v7")]


def indexed(folder: Path, budget: BudgetParams) -> dict[str, int]:
    source = small.source_of(small.FakeAnnotations())
    samples = dict.fromkeys(("train", "val", "test_unannotated"), SAMPLES)
    block = check_task("ar", VALID["tasks"]["ar"])
    report = index_task("ar", task_of(samples), block, source.annotations, {}, small.FEATURES, folder, budget=budget)
    assert report["train"]["skipped"][BEYOND]["count"] == 24 - report["train"]["samples"]
    return {split: len(read_split(folder, split)) for split in samples}


def test_validation_has_all_labels(tmp_path: Path) -> None:
    assert indexed(tmp_path, BudgetParams(videos=3)) == {"train": 6, "val": 24, "test_unannotated": 24}


def test_a_budget_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no usable sample in split 'train' .*24 {BEYOND}"):
        indexed(tmp_path, BudgetParams(videos=3, skip=12))


def test_the_videos_of_a_site() -> None:
    about = {f"v{index}": Footage(None, None, None, {}, f"site{index % 3}") for index in range(9)}
    skips = Skips()
    kept = from_sites(SAMPLES, BudgetParams(sites=("site1", "nowhere")), about, skips)
    assert [sample.key for sample in kept] == ["a1", "a4", "a7", "b1", "b4", "b7"]
    assert skips.to_dict()[ELSEWHERE]["count"] == 18
    assert from_sites(SAMPLES, BudgetParams(videos=2), {}, skips) == SAMPLES


def test_a_site_holds_in_validation_too_and_is_what_a_budget_counts_in(tmp_path: Path) -> None:
    class Sited(small.FakeAnnotations):
        def footage(self) -> dict[str, Footage]:
            return {f"v{index}": Footage(None, None, None, {}, f"site{index % 2}") for index in range(12)}

    samples = dict.fromkeys(("train", "val", "test_unannotated"), SAMPLES)
    block, source = check_task("ar", VALID["tasks"]["ar"]), small.source_of(Sited())
    budget = BudgetParams(sites=("site1",), videos=4)
    index_task("ar", task_of(samples), block, source.annotations, {}, small.FEATURES, tmp_path, budget=budget)
    found = {split: {int(one.video_uid[1:]) for one in read_split(tmp_path, split)} for split in samples}
    assert [len(found[split]) for split in samples] == [4, 6, 12]
    assert all(index % 2 for index in found["train"] | found["val"])


def test_a_task_that_is_not_there(tmp_path: Path) -> None:
    said = refusal(changed("labelled", {"lta": {"videos": 3}}), tmp_path)
    assert said.startswith("labelled.lta: 'lta' is not one of the tasks ar, mq")
