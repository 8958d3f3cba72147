"""Averages, best epochs, freezing, fine-tuning, accumulation: off by default, and right when on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from egopack.model.network import Network, NetworkSpec
from egopack.params import ExtrasParams, OptimizerParams
from egopack.training.best_weights import BestWeights
from egopack.training.curves import write_curves
from egopack.training.ema import EMA, WARM_UP
from egopack.training.loop import evaluates_after, step, train
from egopack.training.optimizer import freeze, make_optimizer
from tests.support import small
from tests.support.train_tiny import loaders_of, params_of

CPU = torch.device("cpu")


def novel_network() -> Network:
    spec = small.network_of("ar").spec.model_dump()
    spec |= {
        "support": {"mq": {"features": small.HIDDEN, "dropout": 0.0, "prototypes": 3}},
        "interaction": {"k": 2, "hidden": 4},
    }
    return Network(NetworkSpec.model_validate(spec))


def test_all_off_by_default() -> None:
    assert OptimizerParams.model_validate({"epochs": 1, "warmup_epochs": 0, "lr": 1}).extras == ExtrasParams()
    assert not evaluates_after(1, 1, ExtrasParams().evaluate_every)


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"patience": 2}, "evaluate_every cannot be 0"),
        ({"train_on_val": True, "evaluate_every": 1}, "no split to evaluate on"),
        ({"freeze": ["heads"]}, "'backbone' or 'necks'"),
        ({"ema_decay": 1.0}, "less than 1"),
        ({"ema": 0.9}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense(extras: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params_of(**extras)


def test_no_epoch_needs_something_to_start_from() -> None:
    with pytest.raises(ValidationError, match="epochs 0 trains nothing"):
        OptimizerParams.model_validate({"epochs": 0, "warmup_epochs": 0, "lr": 1})
    params = OptimizerParams.model_validate({"epochs": 0, "warmup_epochs": 0, "lr": 1, "extras": {"start_from": "x"}})
    network = small.network_of("ar")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert train(network, loaders_of(tasks=("ar",)), params, device=CPU) == []
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_no_epoch_has_an_empty_curve(tmp_path: Any) -> None:
    write_curves(tmp_path / "a.csv", [])
    assert (tmp_path / "a.csv").read_text() == "epoch,loss,grad_norm,lr\n"


def test_average_is_the_formula() -> None:
    network = small.network_of("ar")
    average = EMA(network, 0.3)
    expected = network.backbone.level[0].norm.weight.detach().double().clone()  # type: ignore[union-attr]
    for index in range(5):
        small.randomize(network, index)
        decay = min(0.3, (1 + index) / (WARM_UP + index))
        expected = decay * expected + (1 - decay) * network.backbone.level[0].norm.weight.detach().double()  # type: ignore[union-attr]
        average.update_parameters(network)
    torch.testing.assert_close(average.weights["backbone.level.0.norm.weight"].double(), expected)


def test_training_ends_with_the_average() -> None:
    plain, averaged = small.network_of("ar"), small.network_of("ar")
    first = train(plain, loaders_of(tasks=("ar",)), params_of(), device=CPU)
    assert train(averaged, loaders_of(tasks=("ar",)), params_of(ema_decay=0.99), device=CPU) == first
    assert not torch.equal(plain.backbone.projection[0].weight, averaged.backbone.projection[0].weight)


@pytest.mark.parametrize("better", ["max", "min"])
def test_best_epoch_is_kept(better: str) -> None:
    scores, seen = iter([1.0, 3.0, 2.0]), []

    def evaluate(network: Network) -> dict[str, tuple[float, str]]:
        assert network.state_dict().keys() == kept.state_dict().keys()
        network.eval()
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"a": (next(scores), better)}

    kept, plain = small.network_of("ar"), small.network_of("ar")
    reports = train(kept, loaders_of(tasks=("ar",)), params_of(evaluate_every=1), device=CPU, evaluate=evaluate)
    assert [report.scores for report in reports] == [{"a": 1.0}, {"a": 3.0}, {"a": 2.0}]
    best = seen[1 if better == "max" else 0]
    assert all(torch.equal(best[name], value) for name, value in kept.state_dict().items())
    undisturbed = train(plain, loaders_of(tasks=("ar",)), params_of(), device=CPU)
    assert [report.losses for report in undisturbed] == [report.losses for report in reports]


def test_early_stop() -> None:
    scores = iter([1.0, 0.5, 0.4, 9.0])
    reports = train(
        small.network_of("ar"),
        loaders_of(tasks=("ar",)),
        params_of(evaluate_every=1, patience=1),
        device=CPU,
        evaluate=lambda network: {"a": (next(scores), "max")},
    )
    assert len(reports) == 2


def test_several_scores_count_by_their_relative_change() -> None:
    best = BestWeights()
    for epoch, scores in enumerate([{"a": 10.0, "b": -2.0}, {"a": 11.0, "b": -2.5}, {"a": 10.0, "b": -1.0}]):
        best.offer(epoch, scores, {"w": torch.tensor(float(epoch))})
    assert (best.epoch, best.waited, float(best.weights["w"])) == (2, 0, 2.0)
    assert best.score == pytest.approx(0.25)


def test_every_other_epoch_and_the_last() -> None:
    extras = ExtrasParams(evaluate_every=2)
    assert [done for done in range(1, 6) if evaluates_after(done, 5, extras.evaluate_every)] == [2, 4, 5]


@pytest.mark.parametrize("part", ["backbone", "necks"])
@pytest.mark.parametrize("kind", ["multi", "egopack"])
def test_frozen_parts_stay(part: str, kind: str) -> None:
    network = small.network_of("ar", "pnr") if kind == "multi" else novel_network()
    names = ("ar", "pnr") if kind == "multi" else ("ar",)
    prefix = {"multi": "task.", "egopack": "support."}[kind]
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    train(network, loaders_of(tasks=names), params_of(freeze=[part]), device=CPU)
    for name, value in network.named_parameters():
        frozen = name.startswith("backbone.") if part == "backbone" else name.startswith(prefix) and ".neck." in name
        assert value.requires_grad != frozen
        assert not frozen or torch.equal(value, before[name])
    assert any(not torch.equal(value, before[name]) for name, value in network.named_parameters())


def test_accumulated_batches_are_one_large_batch() -> None:
    """PNR's loss is a mean over equally many nodes of every sample, so two halves are exactly the whole."""
    samples = small.samples_of("pnr", 4)
    weights, reports = [], []
    for batches in ([samples], [samples[:2], samples[2:]]):
        network = small.network_of("pnr")
        optimizer = make_optimizer(network, params_of())
        rounds = [{"pnr": small.batch_of(part)} for part in batches]
        reports.append(step(network, optimizer, rounds, 1.0))
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(reports[0].losses["pnr"]["frame"], reports[1].losses["pnr"]["frame"])
    torch.testing.assert_close(reports[0].grad_norm, reports[1].grad_norm)


def test_accumulation_shortens_an_epoch() -> None:
    done: list[tuple[int, int]] = []
    loaders = loaders_of(tasks=("ar",))
    train(small.network_of("ar"), loaders, params_of(accumulate=3), device=CPU, on_step=lambda *at: done.append(at))
    assert done[-1] == (6, 6)
    assert len(loaders["ar"]) == 4


def test_freezing_nothing() -> None:
    network = small.network_of("ar")
    freeze(network, ())
    assert all(parameter.requires_grad for parameter in network.parameters())
