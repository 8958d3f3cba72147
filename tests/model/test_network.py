from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from egopack.model.network import NeckSpec, Network, start_from_pack
from egopack.params import InteractionParams
from tests.support import small

SUPPORT = ("lta", "mq")
INTERACTION = InteractionParams(k=3, hidden=5)


def novel_of(name: str, fusion: str = "features", prototypes: int = 6) -> Network:
    plain = small.network_of(name, **({"fusion": fusion} if fusion != "features" else {})).spec
    necks = {one: NeckSpec(features=small.HIDDEN, dropout=0.0, prototypes=prototypes) for one in SUPPORT if one != name}
    torch.manual_seed(0)
    network = Network(plain.model_copy(update={"support": necks, "interaction": INTERACTION}))
    small.randomize(network)
    for one in necks:
        network.egopack[one].prototypes.copy_(torch.randn(prototypes, small.HIDDEN))
    return network


def batch_for(network: Network, name: str) -> Any:
    return small.batch_of(small.samples_of(name), levels=network.head(name).params.levels)


@pytest.mark.parametrize("name", small.TASKS)
def test_streams_by_hand(name: str) -> None:
    network = novel_of(name).eval()
    batch, task = batch_for(network, name), network.head(name)
    levels = network.backbone(batch.x, batch.pyramid)
    expected = {
        one: network.egopack[one](task.align([network.support[one]["neck"](level) for level in levels], batch))
        for one in network.support
    }
    found = network.streams(levels, task, batch)
    assert set(found) == set(SUPPORT) - {name}
    for one, value in found.items():
        torch.testing.assert_close(value, expected[one])
    for key, value in network(name, batch).items():
        torch.testing.assert_close(value, task(levels, batch, expected)[key])


def gradients(network: Network, value: Tensor) -> dict[str, Tensor | None]:
    names, parameters = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(value, parameters, allow_unused=True), strict=True))


@pytest.mark.parametrize("name", small.TASKS)
def test_streams_send_no_gradient_into_the_backbone(name: str) -> None:
    network = novel_of(name).train()
    batch = batch_for(network, name)
    levels = network.backbone(batch.x, batch.pyramid)
    found = gradients(
        network, sum(value.square().sum() for value in network.streams(levels, network.head(name), batch).values())
    )
    assert not [key for key, value in found.items() if value is not None and key.startswith(("backbone.", "task."))]
    for part in ("support.", "egopack."):
        mine = [value for key, value in found.items() if key.startswith(part)]
        assert all(value is not None for value in mine)


@pytest.mark.parametrize(
    ("name", "fusion"), [*((name, "features") for name in small.TASKS), ("ar", "logits"), ("pnr", "logits")]
)
def test_all_parts_of_a_novel_network_learn(name: str, fusion: str) -> None:
    network = novel_of(name, fusion).train()
    batch = batch_for(network, name)
    terms = network.head(name).loss(network(name, batch), batch)
    found = gradients(network, torch.stack(list(terms.values())).sum())
    assert not [key for key, value in found.items() if value is None]
    assert "egopack.lta.prototypes" not in found


def test_the_backbone_gradient_is_that_of_the_main_branch_alone() -> None:
    network = novel_of("ar").train()
    batch = batch_for(network, "ar")
    levels = network.backbone(batch.x, batch.pyramid)
    streams = {key: value.detach() for key, value in network.streams(levels, network.head("ar"), batch).items()}
    whole, main = network("ar", batch)["verb_logits"], network.head("ar")(levels, batch, streams)["verb_logits"]
    weight = torch.randn_like(main)
    ours, theirs = (gradients(network, (value * weight).sum()) for value in (whole, main))
    for key in ours:
        if key.startswith("backbone."):
            torch.testing.assert_close(ours[key], theirs[key])


def test_names_of_parameters() -> None:
    names = {name.split(".")[0] for name in novel_of("ar").state_dict()}
    assert names == {"backbone", "task", "support", "egopack"}
    assert {name.split(".")[1] for name in small.network_of("ar", "mq").state_dict() if name.startswith("task.")} == {
        "ar",
        "mq",
    }


def test_start_from_pack_copies() -> None:
    pack = small.randomize(small.network_of("lta", "mq"), seed=3)
    network = novel_of("ar")
    rows = {one: torch.randn(6, small.HIDDEN) for one in SUPPORT}
    head = {key: value.clone() for key, value in network.task.state_dict().items()}
    start_from_pack(network, pack, rows)
    for key, value in network.backbone.state_dict().items():
        assert torch.equal(value, pack.backbone.state_dict()[key])
    for one in SUPPORT:
        mine, theirs = network.support[one]["neck"].state_dict(), pack.head(one).neck.state_dict()
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
        assert torch.equal(network.egopack[one].prototypes, rows[one])
    assert all(torch.equal(value, head[key]) for key, value in network.task.state_dict().items())
    with torch.no_grad():  # copies, not views: neither side follows the other
        for parameter in network.parameters():
            parameter.add_(1.0)
        network.egopack["lta"].prototypes.add_(1.0)
    assert torch.equal(pack.backbone.projection[0].weight + 1, network.backbone.projection[0].weight)
    assert not torch.equal(rows["lta"], network.egopack["lta"].prototypes)
