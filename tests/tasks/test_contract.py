"""What every task keeps to, whatever it does: run over every module in tasks/."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import egopack.tasks
from egopack.data.batch import Batch
from egopack.data.samples import Sample
from egopack.model.checkpoint import load_checkpoint, save_checkpoint
from egopack.model.network import Network, NetworkSpec
from egopack.tasks.base import load_task
from tests.support import small

NAMES = sorted(one.name for one in pkgutil.iter_modules(egopack.tasks.__path__) if one.name != "base")


def network_of(name: str, **model: Any) -> Network:
    return small.randomize(small.network_of(name, **model))


def run(network: Network, name: str, samples: list[Sample]) -> tuple[Batch, dict[str, torch.Tensor]]:
    batch = small.batch_of(samples, levels=network.head(name).params.levels)
    return batch, network(name, batch)


def table_of(network: Network, name: str, samples: list[Sample], seed: int = 0) -> Any:
    head = network.head(name)
    with torch.no_grad():
        batch, outputs = run(network.eval(), name, samples)
        return head.decode(outputs, batch, samples, head.Decode(), np.random.default_rng(seed))


def test_there_are_the_tasks_of_the_paper() -> None:
    assert {"ar", "oscc", "lta", "pnr", "mq"} < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_loss(name: str) -> None:
    """Outputs are named tensors, finite; every term of the loss is a scalar."""
    network = network_of(name)
    batch, outputs = run(network.train(), name, small.samples_of(name))
    assert outputs
    assert all(value.ndim >= 2 and value.isfinite().all() for value in outputs.values())
    terms = network.head(name).loss(outputs, batch)
    assert terms
    assert all(term.ndim == 0 and term.isfinite() for term in terms.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    """From some initial weights: a ReLU at the end may be zero at every node of a few samples."""
    still = {key for key, _ in network_of(name).named_parameters()}
    for seed in range(6):
        network = small.network_of(name, seed=seed).train()
        batch, outputs = run(network, name, small.samples_of(name, 6, seed=seed))
        sum(network.head(name).loss(outputs, batch).values()).backward()
        still -= {key for key, value in network.named_parameters() if value.grad is not None and value.grad.any()}
    assert still == set()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "pnr"])  # whose windows have 16 nodes each
def test_a_video_of_one_node(name: str) -> None:
    network = network_of(name).eval()
    whole = small.samples_of(name, 3)
    one = replace(whole[1], rows=whole[1].rows[:1], pos=whole[1].pos[:1])
    batch, outputs = run(network, name, [whole[0], one, whole[2]])
    assert all(value.isfinite().all() for value in outputs.values())
    assert all(term.isfinite() for term in network.head(name).loss(outputs, batch).values())


def unlabeled(sample: Sample) -> Sample:
    """The same without what may be absent: no segment where a task has any number of them, no known class."""
    if sample.segments is None and "segments" not in sample.targets:
        return replace(sample, targets={key: np.full_like(value, -1) for key, value in sample.targets.items()})
    return replace(
        sample,
        targets={key: value[:0] for key, value in sample.targets.items()},
        segments=None if sample.segments is None else sample.segments[:0],
        texts=dict.fromkeys(sample.texts, ()),
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("pnr", "scenario")])  # which have all targets
def test_a_batch_in_which_nothing_is_labeled(name: str) -> None:
    """Its loss and its gradients are finite, and have the terms of any other batch."""
    network = network_of(name).train()
    batch, outputs = run(network, name, [unlabeled(sample) for sample in small.samples_of(name)])
    terms = network.head(name).loss(outputs, batch)
    assert terms.keys() == network.head(name).loss(*reversed(run(network, name, small.samples_of(name)))).keys()
    assert all(term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_network_comes_back_as_it_was_saved(name: str, tmp_path: Path) -> None:
    network = network_of(name).eval()
    save_checkpoint(tmp_path, network)
    samples = small.samples_of(name)
    _, outputs = run(network, name, samples)
    _, again = run(load_checkpoint(tmp_path), name, samples)
    assert outputs.keys() == again.keys()
    assert all(torch.equal(outputs[key], again[key]) for key in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_predictions_of_random_weights_can_be_scored(name: str) -> None:
    network, samples = network_of(name), small.samples_of(name, 5)
    table = table_of(network, name, samples)
    assert set(table["key"]) <= {sample.key for sample in samples}
    assert table.equals(table_of(network, name, samples)), "the same generator gives the same predictions"
    head = network.head(name)
    scores = head.score(table, samples, small.LABELS[name])
    assert set(head.headline) <= set(scores)
    assert all(np.isfinite(value) for value in scores.values())
    assert set(head.headline.values()) <= {"max", "min"}


@pytest.mark.parametrize("name", NAMES)
def test_chance_is_scored_by_the_same_metrics(name: str) -> None:
    task, train, val = load_task(name), small.samples_of(name, 6), small.samples_of(name, 5, seed=1)
    labels, generator = small.LABELS[name], np.random.default_rng(0)
    scores = task.score(task.chance(train, val, labels, generator), val, labels)
    assert set(task.headline) <= set(scores)
    assert all(np.isfinite(value) for value in scores.values())


@pytest.mark.parametrize("name", NAMES)
def test_what_a_pack_contributes_reaches_the_outputs(name: str) -> None:
    """With support tasks the outputs change with their prototypes, and the backbone gets no gradient through them."""
    support = "ar" if name != "ar" else "lta"
    spec = small.network_of(name).spec.model_dump() | {
        "support": {support: {"features": small.HIDDEN, "dropout": 0.0, "prototypes": 3}},
        "interaction": {"k": 2, "hidden": 4},
    }
    network = small.randomize(Network(NetworkSpec.model_validate(spec))).eval()
    samples = small.samples_of(name)
    prototypes = network.egopack[support].prototypes
    before = {key: value.clone() for key, value in run(network, name, samples)[1].items()}
    prototypes.add_(torch.randn(prototypes.shape, generator=torch.Generator().manual_seed(1)))
    after = run(network, name, samples)[1]
    assert any(not torch.equal(before[key], after[key]) for key in before)
