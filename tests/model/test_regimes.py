from __future__ import annotations

from typing import Any

import pytest
import torch

from egopack.errors import UserError
from egopack.model.network import Network
from egopack.model.prototypes import Prototypes
from egopack.model.regimes import multi_network, novel_network, single_network
from egopack.params import InteractionParams
from tests.support import small

INTERACTION = InteractionParams(k=3, hidden=5)
SIZES = {name: small.sizes(name) for name in small.TASKS}


def setup(name: str, **model: Any) -> tuple[Any, dict[str, int]]:
    return small.task_params(name, **model), small.sizes(name)


def pack_of(*names: str, levels: int = 3, **model: Any) -> Network:
    torch.manual_seed(0)
    backbone = small.backbone_params()
    return multi_network(
        small.WIDTH, backbone, {name: small.task_params(name, **model) for name in names}, SIZES, levels
    )


def prototypes_of(*names: str, width: int = small.HIDDEN, count: int = 4) -> Prototypes:
    rows = {name: torch.randn(count, width) for name in names}
    return Prototypes(rows, verb=torch.zeros(count, dtype=torch.int64), noun=torch.arange(count))


def test_a_single_network_is_as_deep_as_its_task() -> None:
    for name in small.TASKS:
        network = single_network(small.WIDTH, small.backbone_params(), name, *setup(name))
        assert len(network.backbone.level) == (3 if name == "mq" else 1)
        assert list(network.task) == [name]
        assert not len(network.support)


def test_a_pack_has_the_levels_that_it_is_given() -> None:
    assert len(pack_of("ar", "lta", levels=4).backbone.level) == 4
    with pytest.raises(UserError, match=r"^params\.yaml: tasks\.mq\.levels: 3, but multi\.levels is 2$"):
        pack_of("ar", "mq", levels=2)


def test_a_novel_network_starts_from_its_pack() -> None:
    pack, prototypes = small.randomize(pack_of("ar", "mq")), prototypes_of("ar", "mq")
    network = novel_network("lta", *setup("lta"), pack, prototypes, INTERACTION)
    assert (list(network.task), list(network.support)) == (["lta"], ["ar", "mq"])
    assert len(network.backbone.level) == 1  # of the pack's three, those that the task reads
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, pack.backbone.state_dict()[name])
    assert torch.equal(network.egopack["mq"].prototypes, prototypes.rows["mq"])
    batch = small.batch_of(small.samples_of("lta"))
    assert network("lta", batch)["verb_logits"].isfinite().all()


def test_a_deep_novel_task_reads_the_levels_of_its_pack() -> None:
    network = novel_network("mq", *setup("mq"), pack_of("ar", "lta"), prototypes_of("ar", "lta"), INTERACTION)
    assert len(network.backbone.level) == 3
    outputs = network("mq", small.batch_of(small.samples_of("mq"), levels=3))
    assert outputs["class_logits"].isfinite().all()


@pytest.mark.parametrize(
    ("name", "model", "pack", "prototypes", "message"),
    [
        ("ar", {}, {}, ("ar", "lta"), r"^helped_by\.ar: the pack was trained with 'ar', so it is not novel to it$"),
        (
            "mq",
            {},
            {"levels": 2},
            ("ar", "lta"),
            r"^tasks\.mq\.levels: 3, but its pack was trained with multi\.levels 2$",
        ),
        (
            "oscc",
            {"features": 4},
            {},
            ("ar", "lta"),
            r"tasks\.oscc\.model\.features: 4, but tasks\.ar\.model\.features is 8",
        ),
        ("oscc", {}, {}, ("ar",), r"^prototypes: none of task 'lta'; build them again from this pack$"),
    ],
)
def test_what_a_novel_task_cannot_be_helped_by(
    name: str, model: dict[str, Any], pack: dict[str, Any], prototypes: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        novel_network(
            name, *setup(name, **model), pack_of("ar", "lta", **pack), prototypes_of(*prototypes), INTERACTION
        )


def test_streams_of_moment_queries_need_the_width_of_the_backbone() -> None:
    pack = pack_of("ar", "lta", features=4)
    with pytest.raises(UserError, match=r"tasks\.mq\.model\.features 4: must be the backbone's width 8"):
        novel_network("mq", *setup("mq", features=4), pack, prototypes_of("ar", "lta", width=4), INTERACTION)


def test_prototypes_of_another_width() -> None:
    with pytest.raises(UserError, match="prototypes"):
        novel_network("oscc", *setup("oscc"), pack_of("ar"), prototypes_of("ar", width=5), INTERACTION)


def helped(*without: str, **interaction: Any) -> tuple[Network, Network, Prototypes]:
    """A novel LTA without parts of its pack, the pack and its prototypes."""
    torch.manual_seed(3)
    pack, prototypes = small.randomize(pack_of("ar", "oscc")), prototypes_of("ar", "oscc", count=40)
    settings = InteractionParams.model_validate({"k": 3, "hidden": 5} | interaction)
    return novel_network("lta", *setup("lta"), pack, prototypes, settings, without), pack, prototypes


def test_without_the_backbone_of_the_pack() -> None:
    (whole, pack, _), (fresh, _, _) = helped(), helped("backbone")
    theirs = pack.backbone.state_dict()
    assert not all(torch.equal(value, theirs[name]) for name, value in fresh.backbone.state_dict().items())
    other = {name: value for name, value in fresh.state_dict().items() if not name.startswith("backbone.")}
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in other.items())


def test_without_streams_it_is_a_network_of_one_task_that_starts_from_the_pack() -> None:
    network, pack, _ = helped("streams")
    alone = single_network(small.WIDTH, small.backbone_params(), "lta", *setup("lta"))
    assert network.state_dict().keys() == alone.state_dict().keys()
    assert all(
        torch.equal(value, pack.backbone.state_dict()[name]) for name, value in network.backbone.state_dict().items()
    )


def test_without_the_interaction_streams_are_what_the_necks_make() -> None:
    (network, pack, _), batch = helped("interaction"), small.batch_of(small.samples_of("lta"))
    levels = network.backbone(batch.x, batch.pyramid)
    streams = network.streams(levels, network.head("lta"), batch)
    for name, stream in streams.items():
        expected = torch.stack([
            pack.head(name).neck(levels[0])[batch.pyramid[0].video == video].amax(dim=0) for video in range(len(batch))
        ])  # fmt: skip
        assert torch.equal(stream, expected)
    assert not [name for name, _ in network.named_parameters() if name.startswith("egopack.")]


def test_prototypes_of_permuted_columns_keep_values_and_lose_rows() -> None:
    network, _, prototypes = helped("prototypes")
    for name, rows in prototypes.rows.items():
        permuted = network.egopack[name].prototypes
        assert torch.equal(permuted.sort(dim=0).values, rows.sort(dim=0).values)
        same = {tuple(row) for row in permuted.tolist()} & {tuple(row) for row in rows.tolist()}
        assert not same  # rows in another order would all be there


def test_who_consults_no_prototype_is_told_nothing_by_them() -> None:
    network, _, _ = helped(k=0)
    batch = small.batch_of(small.samples_of("lta"))
    before = network("lta", batch)["verb_logits"]
    for name in network.egopack:
        network.egopack[name].prototypes.mul_(-3)
    assert torch.equal(network("lta", batch)["verb_logits"], before)
    before.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
