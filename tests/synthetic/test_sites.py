"""Sites of the built-in corpus: what is learned at one holds at another as far as they share a world."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from egopack.ego4d.sources.videos import read_footage
from egopack.params import SyntheticParams
from egopack.synthetic.sites import site_worlds
from egopack.synthetic.world import build_world, simulate
from tests.support.synthetic_corpus import SMALL, Corpus
from tests.synthetic.test_world import accuracy, segments

TWO = SyntheticParams(
    seed=4, train_videos=24, val_videos=12, test_videos=0, sites=2, mean_minutes=3, missing_features=0,
    truncated_features=0, nan_features=0,
)  # fmt: skip


def with_sharing(folder: Path, sharing: float) -> tuple[float, float, float]:
    """Accuracy of verbs from features by least squares: at each site what was learned there, and what site 0 makes of
    site 1's.
    """
    corpus = Corpus(folder / str(sharing), TWO.model_copy(update={"sharing": sharing}))
    site = {uid: one.site for uid, one in read_footage(corpus.root / "annotations/v1/ego4d.json").items()}
    first = "clip_parent_start_frame"

    def actions(split: str, where: str) -> tuple[np.ndarray, np.ndarray]:
        return segments(
            corpus,
            [
                (r["video_uid"], r[first] + r["action_clip_start_frame"], r[first] + r["action_clip_end_frame"],
                 r["verb_label"])
                for r in corpus.lta(split) if site[r["video_uid"]] == where
            ],
        )  # fmt: skip

    learned = {where: actions("train", where) for where in ("site0", "site1")}
    held = {where: actions("val", where) for where in learned}
    own = [accuracy(learned[where], held[where], 20) for where in learned]
    return own[0], own[1], accuracy(learned["site0"], held["site1"], 20)


def test_what_is_shared_is_what_carries_over(tmp_path: Path) -> None:
    found = {sharing: with_sharing(tmp_path, sharing) for sharing in (1.0, 0.5, 0.0)}
    for own, other, _ in found.values():  # as rich at each site
        assert min(own, other) > 0.3
        assert abs(own - other) < 0.15
    across = {sharing: carried for sharing, (_, _, carried) in found.items()}
    assert across[1.0] > 0.3
    assert 0.12 < across[0.5] < across[1.0]
    assert across[0.0] < 0.12


def test_sites_that_share_all_are_one(tmp_path: Path) -> None:
    apart = Corpus(tmp_path / "apart", SMALL.model_copy(update={"sites": 3}))
    one = Corpus(tmp_path / "one", SMALL.model_copy(update={"sharing": 0.0}))  # of one site there is nothing to share
    differing = {name for name, digest in apart.digest().items() if one.digest()[name] != digest}
    assert differing == {"annotations/v1/ego4d.json"}
    about = read_footage(apart.root / "annotations/v1/ego4d.json").values()
    assert Counter(video.site for video in about) == {"site0": 7, "site1": 6, "site2": 5}
    assert all(set(video) >= {"video_source"} for video in apart.json("ego4d")["videos"])
    assert all("video_source" not in video for video in one.json("ego4d")["videos"])


@pytest.mark.parametrize("sharing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [64, 20])
def test_every_site_is_a_world_as_regular_as_the_first(sharing: float, size: int) -> None:
    first, *others = site_worlds(SyntheticParams(sites=4, sharing=sharing, feature_size=size))
    for world in others:
        assert (world.verbs, world.nouns, world.moments) == (first.verbs, first.nouns, first.moments)
        for table in (world.successors, world.verb_tilt, world.activities):
            np.testing.assert_allclose(table.sum(axis=1), 1)
        np.testing.assert_allclose(world.changes.sum(), first.changes.sum())
        assert {tuple(t.shape) for t in world.tables.values()} == {tuple(t.shape) for t in first.tables.values()}
        for table in world.tables.values():
            np.testing.assert_allclose(np.linalg.norm(table, axis=1), 1)
        strength = np.linalg.svd(world.mixing, compute_uv=False)
        np.testing.assert_allclose(strength, np.linalg.svd(first.mixing, compute_uv=False), rtol=0.4)
        if size == 64:  # a rotation
            np.testing.assert_allclose(world.mixing @ world.mixing.T, np.eye(60), atol=1e-9)


def test_a_longer_tail() -> None:
    """The slope of log frequency over log rank of verbs, and the share of the most frequent tenth of pairs."""

    def measured(tail: float) -> tuple[float, float]:
        settings = SyntheticParams(tail=tail)
        world = build_world(settings)
        events = [
            event for seed in range(25) for event in simulate(world, settings, np.random.default_rng(seed)).events
        ]
        verbs = np.sort(np.bincount([event.verb for event in events]))[::-1]
        pairs = np.sort(list(Counter((event.verb, event.noun) for event in events).values()))[::-1]
        slope = np.polyfit(np.log(np.arange(len(verbs)) + 1), np.log(verbs + 0.5), 1)[0]
        return float(slope), float(pairs[: len(pairs) // 10].sum() / pairs.sum())

    (slope, share), (steeper, more) = measured(0.0), measured(1.0)
    assert slope > -0.8
    assert -1.6 < steeper < -1.1
    assert share + 0.08 < more
