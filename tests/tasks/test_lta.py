from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egopack.tasks.lta import (
    LongTermAnticipation,
    LtaDecode,
    anticipation_edges,
    area_under_edit_distance,
    best_edit_distance,
    edit_distance_at,
    sample_classes,
    sequence_table,
)
from tests.support import small
from tests.support.small import action

Z = 20


def plain_distance(a: list[int], b: list[int]) -> int:
    """Levenshtein distance, by the table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, row = row, [i]
        for j, y in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y)))
    return row[-1]


sequences = st.integers(1, 7).flatmap(
    lambda z: st.tuples(
        st.lists(
            st.lists(st.lists(st.integers(0, 3), min_size=z, max_size=z), min_size=2, max_size=2),
            min_size=1,
            max_size=3,
        ),
        st.lists(st.integers(-1, 3), min_size=z, max_size=z),
    )
)


@settings(max_examples=60, deadline=None)
@given(sequences)
def test_edit_distances_by_the_table(data: tuple[list[list[list[int]]], list[int]]) -> None:
    candidates, truth = data  # (n, K, Z), one truth for all
    predictions = np.array(candidates).transpose(0, 2, 1)
    labels = np.tile(truth, (len(candidates), 1))
    horizons = range(1, len(truth) + 1)
    expected = [[min(plain_distance(one[:z], truth[:z]) for one in row) / z for z in horizons] for row in candidates]
    np.testing.assert_allclose(best_edit_distance(predictions, labels, horizons), expected)
    at = edit_distance_at(predictions, labels)
    np.testing.assert_allclose(at, np.mean(expected, axis=0))
    area = sum((a + b) / 2 for a, b in pairwise(at)) / max(len(at) - 1, 1)
    assert area_under_edit_distance(at) == pytest.approx(area)


def test_draws_follow_the_probabilities() -> None:
    probability = np.array([[0.5, 0.3, 0.2, 0.0], [0.0, 0.0, 0.0, 1.0], [0.25, 0.25, 0.25, 0.25]])
    draws = 20_000
    drawn = sample_classes(probability, draws, np.random.default_rng(0))
    assert drawn.shape == (3, draws)
    for row, expected in zip(drawn, probability, strict=True):
        counts = np.bincount(row, minlength=4)
        possible = expected > 0
        assert not counts[~possible].any()
        chi_square = ((counts - draws * expected)[possible] ** 2 / (draws * expected[possible])).sum()
        assert chi_square < 16.3  # three degrees of freedom, p = 0.001


def test_steps_and_candidates_are_drawn_independently() -> None:
    drawn = sample_classes(np.full((2000, 2), 0.5), 2, np.random.default_rng(1))
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.08
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.08


def test_unnormalised_rows_never_draw_past_the_last_class() -> None:
    probability = np.full((500, 7), 1 / 7) * np.random.default_rng(0).uniform(0.9, 1.1, (500, 1))
    assert sample_classes(probability, 50, np.random.default_rng(2)).max() == 6


@pytest.mark.parametrize(("videos", "horizon", "radius"), [(1, 5, 2.5), (3, 4, 2.5), (2, 1, 2.5), (2, 5, 0.5)])
def test_edges_of_the_future(videos: int, horizon: int, radius: float) -> None:
    edges = anticipation_edges(videos, horizon, radius, torch.device("cpu"), True)
    found = set(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    nodes = range(videos * horizon)
    same = {(j, i) for j in nodes for i in nodes if i // horizon == j // horizon and 0 < abs(i - j) <= radius}
    assert found == same


def test_a_sample_for_every_start_that_leaves_a_whole_horizon() -> None:
    count, horizon = 9, 4
    actions = [action(10 + i, 100 + 40 * i, 130 + 40 * i, verb=i % 5, noun=i % 6) for i in range(count)]
    shuffled = [actions[i] for i in np.random.default_rng(0).permutation(count)]
    short = [action(i, 100, 200, clip_uid="short") for i in range(2 + horizon)]
    source = small.source_of(small.FakeAnnotations(actions=[*shuffled, *short]), v=100)
    samples = LongTermAnticipation.samples(source, "train", small.task_params("lta"))
    assert len(samples) == count - 2 - horizon
    for first, sample in enumerate(samples):
        assert sample.key == f"c#{10 + first + 1}"
        start, end = actions[first].start, actions[first + 1].end
        assert sample.rows.tolist() == list(range(start // 16, end // 16))
        np.testing.assert_allclose(sample.pos, np.round((0.5 + np.arange(len(sample))) * 16 / 30, 3), atol=1e-6)
        assert sample.targets["verbs"].tolist() == [(first + 2 + i) % 5 for i in range(horizon)]
        assert sample.targets["nouns"].tolist() == [(first + 2 + i) % 6 for i in range(horizon)]
    assert source.skips.to_dict()["clip with too few actions to anticipate"]["examples"] == ["short"]


def test_observed_actions_without_a_row_are_counted() -> None:
    actions = [action(i, 3200 + 5 * i, 3205 + 5 * i) for i in range(8)]
    source = small.source_of(small.FakeAnnotations(actions=actions), v=100)
    assert LongTermAnticipation.samples(source, "train", small.task_params("lta")) == []
    assert source.skips.to_dict()["observed actions without a feature row"]["count"] == 2


def test_a_label_that_is_ignored_counts_in_the_mean() -> None:
    sample = small.samples_of("lta", 1)[0]
    sample.targets["verbs"] = np.array([2, -1, -1, 0])
    batch = small.batch_of([sample])
    logits = {"verb_logits": torch.randn(4, 5), "noun_logits": torch.randn(4, 6)}
    log = torch.log_softmax(logits["verb_logits"], 1)
    found = small.task_of("lta").loss(logits, batch)["verb"]
    torch.testing.assert_close(found, -(log[0, 2] + log[3, 0]) / 4)


def test_every_step_sees_the_maximum_of_its_video() -> None:
    task = small.task_of("lta").eval()
    seen = []
    task.convolutions()[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    batch = small.batch_of(small.samples_of("lta", 3))
    x = torch.randn(len(batch.x), small.HIDDEN)
    task([x], batch)
    expected = torch.stack([part.amax(0) for part in task.neck(x).split(batch.pyramid[0].lengths)])
    torch.testing.assert_close(seen[0], expected.repeat_interleave(4, 0))


def test_classifiers_start_at_the_prior() -> None:
    task = small.task_of("lta", prior=0.2)
    for head in (task.verb, task.noun):
        torch.testing.assert_close(torch.sigmoid(head["out"].bias), torch.full_like(head["out"].bias, 0.2))


def decoded(seed: int) -> tuple[LongTermAnticipation, list, object]:
    samples = small.samples_of("lta", 3, horizon=Z)
    params = small.task_params("lta", samples={"horizon": Z})
    task = LongTermAnticipation(small.HIDDEN, params, small.sizes("lta"))
    generator = torch.Generator().manual_seed(0)
    outputs = {f"{part}_logits": torch.randn(3 * Z, n, generator=generator) for part, n in (("verb", 5), ("noun", 6))}
    return (
        task,
        samples,
        task.decode(outputs, small.batch_of(samples), samples, LtaDecode(), np.random.default_rng(seed)),
    )


def test_predictions_scores_and_submission() -> None:
    task, samples, table = decoded(0)
    assert table.equals(decoded(0)[2])
    assert not table.equals(decoded(1)[2])
    drawn = np.array(table["verb"].to_list())
    assert drawn.shape == (3, Z, 5)
    scores = task.score(table, samples, small.LABELS["lta"])
    best = [
        min(plain_distance(drawn[n, :, k].tolist(), sample.targets["verbs"].tolist()) for k in range(5)) / Z
        for n, sample in enumerate(samples)
    ]
    assert scores["verb_ed"] == pytest.approx(np.mean(best))
    assert set(scores) == {"verb_ed", "verb_aued", "noun_ed", "noun_aued"}
    submitted = json.loads(json.dumps(task.submission(table, samples, small.LABELS["lta"])))
    assert set(submitted) == {"clip0_1", "clip1_2", "clip2_3"}
    assert submitted["clip1_2"]["verb"] == drawn[1].T.tolist()


def test_a_perfect_candidate_scores_zero() -> None:
    samples = small.samples_of("lta", 2, horizon=Z)
    drawn = {
        part: np.stack([s.targets[f"{part}s"] for s in samples])[:, :, None].repeat(5, 2) for part in ("verb", "noun")
    }
    for part in drawn:
        drawn[part][:, :, :4] = 99
    table = sequence_table(samples, drawn["verb"], drawn["noun"])
    assert set(LongTermAnticipation.score(table, samples, small.LABELS["lta"]).values()) == {0.0}


def test_chance_knows_the_frequencies() -> None:
    train = small.samples_of("lta", 3, horizon=Z)
    for sample in train:
        sample.targets["verbs"][:] = np.where(np.arange(Z) % 2, 3, -1)
    table = LongTermAnticipation.chance(train, train, small.LABELS["lta"], np.random.default_rng(0))
    assert set(np.array(table["verb"].to_list()).ravel()) == {3}
    assert len(set(np.array(table["noun"].to_list()).ravel())) == 6
