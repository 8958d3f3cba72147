"""What evaluation in the course of a training must not change, and what it evaluates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from egopack.model.network import Network
from egopack.training.best_weights import BestWeights
from egopack.training.ema import WARM_UP
from egopack.training.loop import train
from egopack.training.run import Folders, Training
from egopack.training.state import KEEP_DAYS, Scratch, digest_tensors, prune
from tests.support.train_tiny import loaders_of, network_of, params_of
from tests.training.test_resume import StopError, age

CPU = torch.device("cpu")


def test_dropout_is_on_again_after_an_evaluation() -> None:
    def evaluate(network: Network) -> dict[str, tuple[float, str]]:
        network.eval()
        return {"a": (0.0, "max")}

    curves = []
    for every in (0, 1):
        torch.manual_seed(5)
        reports = train(network_of(), loaders_of(), params_of(evaluate_every=every), device=CPU, evaluate=evaluate)
        curves.append([report.losses for report in reports])
    assert curves[0] == curves[1]


def test_the_average_is_what_is_evaluated() -> None:
    name, decay = "backbone.projection.0.weight", 0.9
    network = network_of()
    average = network.state_dict()[name].double().clone()
    averages: list[Tensor] = []
    seen: list[Tensor] = []

    def on_step(done: int, total: int) -> None:
        nonlocal average
        now = network.state_dict()[name].double()
        share = min(decay, done / (WARM_UP + done - 1))
        average = share * average + (1 - share) * now
        averages.append(average.clone())

    def evaluate(network: Network) -> dict[str, tuple[float, str]]:
        seen.append(network.state_dict()[name].clone())
        return {"a": (0.0, "max")}

    loaders, params = loaders_of(), params_of(evaluate_every=1, ema_decay=decay)
    train(network, loaders, params, device=CPU, evaluate=evaluate, on_step=on_step)
    steps = max(map(len, loaders.values()))
    assert len(seen) == len(averages) // steps == 3
    for epoch, found in enumerate(seen):
        torch.testing.assert_close(found.double(), averages[(epoch + 1) * steps - 1], atol=1e-6, rtol=1e-5)


def test_the_best_epoch_outlives_a_stop(tmp_path: Path) -> None:
    """Of three epochs the first scores best, and the training stops after the second."""
    scores: dict[str, float] = {}

    def run(scratch: Scratch | None, stop: int = 0) -> str:
        def evaluate(network: Network) -> dict[str, tuple[float, str]]:
            key = digest_tensors(network.state_dict())
            return {"a": (scores.setdefault(key, 1.0 / (1 + len(scores))), "max")}

        def on_step(done: int, total: int) -> None:
            if done == stop:
                raise StopError

        torch.manual_seed(5)
        network = network_of()
        options = {"evaluate": evaluate, "scratch": scratch, "on_step": on_step}
        train(network, loaders_of(), params_of(evaluate_every=1), device=CPU, **options)  # type: ignore[arg-type]
        return digest_tensors(network.state_dict())

    whole = run(None)
    assert whole == max(scores, key=scores.__getitem__)
    scratch = Scratch(tmp_path / "run", 1)
    scratch.due = lambda step: True  # type: ignore[method-assign]
    steps = max(map(len, loaders_of().values()))
    with pytest.raises(StopError):
        run(scratch, stop=2 * steps + 1)
    assert run(scratch) == whole


def test_of_equal_epochs_the_first_is_kept() -> None:
    best = BestWeights()
    assert best.offer(0, {"a": 1.0}, {"w": torch.zeros(1)})
    assert not best.offer(1, {"a": 1.0}, {"w": torch.ones(1)})
    assert (best.epoch, float(best.weights["w"]), best.waited) == (0, 0.0, 1)


@pytest.mark.parametrize(("days", "gone"), [(KEEP_DAYS - 0.5, False), (KEEP_DAYS + 0.5, True)])
def test_a_state_is_pruned_on_its_day(days: float, gone: bool, tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / ("a" * 32), 1)
    train(network_of(), loaders_of(), params_of(), device=CPU, scratch=scratch)
    age(tmp_path / ("a" * 32), days)
    assert bool(prune(tmp_path)) == gone


def test_features_determine_a_run(tmp_path: Path) -> None:
    from egopack.params import RuntimeParams
    from egopack.runtime.ranks import ALONE

    folders = Folders(*(tmp_path / name for name in ("shards", "samples", "models", "curves", "scratch")))
    folders.shards.mkdir()
    training = Training("single/ar", network_of(), params_of(), RuntimeParams(), 0, CPU, ALONE, folders)
    digests = []
    for content in (b"one", b"two"):
        (folders.shards / "shard-00000.h5").write_bytes(content)
        digests.append(training.determining({}, tmp_path)["features"])
    assert digests[0] != digests[1]
