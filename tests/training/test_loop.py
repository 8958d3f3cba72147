from __future__ import annotations

import hashlib

import pytest
import torch

from egopack.data.loader import Loader
from egopack.model.network import Network
from egopack.params import OptimizerParams
from egopack.training.loaders import train_loader
from egopack.training.loop import EpochReport, step, summarize, train
from egopack.training.optimizer import learning_rate, make_optimizer
from tests.support import small

CPU = torch.device("cpu")
PARAMS = OptimizerParams(epochs=3, warmup_epochs=1, lr=0.01, weight_decay=0.01)


def loaders_of(*names: str, seed: int = 0, count: int = 5, batch_size: int = 2) -> dict[str, Loader]:
    return {
        name: train_loader(
            *(name, small.task_params(name), small.samples_of(name, count), small.Features()),
            batch_size=batch_size,
            radius_s=2.0,
            seed=seed,
        )
        for name in names
    }


def fingerprint(network: Network) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def trained(*names: str, seed: int = 0, init: int = 0) -> str:
    network = small.network_of(*names, seed=init, backbone=small.backbone_params(dropout=0.2))
    torch.manual_seed(1)
    train(network, loaders_of(*names, seed=seed), PARAMS, device=CPU)
    return fingerprint(network)


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    first = trained("pnr", "mq")
    assert trained("pnr", "mq") == first
    assert trained("pnr", "mq", seed=1) != first
    assert trained("pnr", "mq", init=1) != first


def test_an_epoch_of_so_many_steps_changes_reports_alone() -> None:
    """Three batches are there: epochs of 1, 2 and 4 steps end before, inside and after a pass over them."""
    found = []
    for epochs, steps in ((8, 1), (4, 2), (2, 4)):
        network, told = small.network_of("pnr"), list[tuple[int, int]]()
        params = OptimizerParams(epochs=epochs, epoch_steps=steps, warmup_epochs=0, lr=0.01)
        loaders = loaders_of("pnr")
        assert len(loaders["pnr"]) == 3
        reports = train(network, loaders, params, device=CPU, on_step=lambda *step, told=told: told.append(step))
        assert told == [(step, 8) for step in range(1, 9)]
        assert len(reports) == epochs
        found.append(fingerprint(network))
    assert len(set(found)) == 1


def test_training_lowers_the_loss() -> None:
    reports: list[EpochReport] = []
    params = OptimizerParams(epochs=40, warmup_epochs=1, lr=0.02)
    train(small.network_of("ar"), loaders_of("ar"), params, device=CPU, on_epoch=reports.append)
    total = [sum(report.losses.values()) for report in reports]
    assert total[-1] < 0.5 * total[0]


def test_gradients_of_tasks_are_added_and_the_norm_is_clipped() -> None:
    batches = {name: small.batch_of(small.samples_of(name), levels=3 if name == "mq" else 1) for name in ("ar", "mq")}
    network = small.network_of("ar", "mq").train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    report = step(network, optimizer, batches, 0.5)

    other = small.network_of("ar", "mq").train()
    terms = [
        term for name, batch in batches.items() for term in other.head(name).loss(other(name, batch), batch).values()
    ]
    torch.stack(terms).sum().backward()
    gradients = {name: value.grad for name, value in other.named_parameters()}
    norm = torch.stack([value.square().sum() for value in gradients.values() if value is not None]).sum().sqrt()
    assert float(norm) > 0.5
    torch.testing.assert_close(report.grad_norm, norm)
    for name, value in network.named_parameters():
        assert gradients[name] is not None
        torch.testing.assert_close(before[name] - value.detach(), gradients[name] * 0.5 / norm, atol=1e-5, rtol=1e-4)
    found = [value for losses in report.losses.values() for value in losses.values()]
    torch.testing.assert_close(torch.stack(found), torch.stack([term.detach() for term in terms]))
    assert {task: list(losses) for task, losses in report.losses.items()} == {
        "ar": ["verb", "noun"],
        "mq": ["classification", "regression"],
    }


def test_gradients_do_not_pile_up_from_step_to_step() -> None:
    batches = {"ar": small.batch_of(small.samples_of("ar"))}
    network = small.network_of("ar")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    first, second = (step(network, optimizer, batches, 1.0) for _ in range(2))
    torch.testing.assert_close(first.grad_norm, second.grad_norm)


def test_an_epoch_is_as_long_as_the_longest_loader_and_others_cycle() -> None:
    loaders = loaders_of("ar", count=5) | loaders_of("pnr", count=3)
    seen: dict[str, list[str]] = {"ar": [], "pnr": []}
    for name, loader in loaders.items():
        original = loader.batch

        def spied(epoch: int, index: int, chosen: list, name: str = name, original: object = original) -> object:
            seen[name].append(f"{epoch}.{index}")
            return original(epoch, index, chosen)

        loader.batch = spied
    steps: list[tuple[int, int]] = []
    reports: list[EpochReport] = []
    train(
        small.network_of("ar", "pnr"),
        loaders,
        PARAMS,
        device=CPU,
        on_step=lambda done, total: steps.append((done, total)),
        on_epoch=reports.append,
    )
    assert steps == [(index, 9) for index in range(1, 10)]
    assert seen["ar"][:9] == [f"{epoch}.{index}" for epoch in range(3) for index in range(3)]
    assert seen["pnr"][:9] == [f"{turn // 2}.{turn % 2}" for turn in range(9)]
    assert [report.epoch for report in reports] == [0, 1, 2]
    last = [learning_rate(index, total=9, warmup=3, lr=0.01, lr_min=1e-8) for index in (2, 5, 8)]
    assert [report.lr for report in reports] == pytest.approx(last)


def test_a_report_is_the_mean_of_its_steps() -> None:
    network = small.network_of("ar")
    optimizer = make_optimizer(network, PARAMS)
    batches = {"ar": small.batch_of(small.samples_of("ar"))}
    reports = [step(network, optimizer, batches, 1.0) for _ in range(3)]
    found = summarize(4, 0.5, reports)
    assert (found.epoch, found.lr) == (4, 0.5)
    assert found.losses["ar/verb"] == pytest.approx(sum(float(r.losses["ar"]["verb"]) for r in reports) / 3)
    assert found.grad_norm == pytest.approx(sum(float(r.grad_norm) for r in reports) / 3)
    assert list(found.losses) == ["ar/verb", "ar/noun"]
