from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from egopack.errors import UserError
from egopack.params import InteractionParams
from egopack.training.network import Network
from egopack.training.prototypes import Prototypes
from egopack.training.regimes import multi_batch_sizes, multi_network, novel_network, single_network, train_loader
from tests import small

INTERACTION = InteractionParams(k=3, hidden=5)


def setup(name: str, **model: Any) -> tuple[Any, dict[str, int]]:
    return small.task_params(name, **model), small.sizes(name)


def pack_of(*names: str, levels: int = 3, **model: Any) -> Network:
    torch.manual_seed(0)
    backbone = small.backbone_params()
    return multi_network(small.WIDTH, backbone, {name: setup(name, **model) for name in names}, levels)


def prototypes_of(*names: str, width: int = small.HIDDEN, count: int = 4) -> Prototypes:
    rows = {name: torch.randn(count, width) for name in names}
    return Prototypes(rows, verb=torch.zeros(count, dtype=torch.int64), noun=torch.arange(count))


@pytest.mark.parametrize(
    ("lengths", "base", "expected"),
    [
        ({"a": 100, "b": 100}, 4, {"a": 4, "b": 4}),
        ({"a": 100, "b": 199, "c": 200}, 4, {"a": 4, "b": 4, "c": 8}),
        ({"a": 7, "b": 3, "c": 64}, 2, {"a": 4, "b": 2, "c": 42}),
        ({"a": 5}, 3, {"a": 3}),
    ],
)
def test_batch_sizes(lengths: dict[str, int], base: int, expected: dict[str, int]) -> None:
    assert multi_batch_sizes(lengths, base) == expected


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 10_000), min_size=1), st.integers(1, 8))
def test_loaders_of_a_pack_are_about_as_long(lengths: dict[str, int], base: int) -> None:
    sizes = multi_batch_sizes(lengths, base)
    steps = {name: -(-length // sizes[name]) for name, length in lengths.items()}
    shortest = -(-min(lengths.values()) // base)
    assert all(shortest <= count <= 2 * shortest + 1 for count in steps.values())


def test_a_single_network_is_as_deep_as_its_task() -> None:
    for name in small.TASKS:
        network = single_network(small.WIDTH, small.backbone_params(), name, setup(name))
        assert len(network.backbone.level) == (3 if name == "mq" else 1)
        assert list(network.task) == [name]
        assert not len(network.support)


def test_a_pack_has_the_levels_that_it_is_given() -> None:
    assert len(pack_of("ar", "lta", levels=4).backbone.level) == 4
    with pytest.raises(UserError, match=r"^params\.yaml: tasks\.mq\.levels: 3, but multi\.levels is 2$"):
        pack_of("ar", "mq", levels=2)


def test_a_novel_network_starts_from_its_pack() -> None:
    pack, prototypes = small.randomise(pack_of("ar", "mq")), prototypes_of("ar", "mq")
    network = novel_network("lta", setup("lta"), pack, prototypes, INTERACTION)
    assert (list(network.task), list(network.support)) == (["lta"], ["ar", "mq"])
    assert len(network.backbone.level) == 1  # of the pack's three, those that the task reads
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, pack.backbone.state_dict()[name])
    assert torch.equal(network.egopack["mq"].prototypes, prototypes.rows["mq"])
    batch = small.batch_of(small.samples_of("lta"))
    assert network("lta", batch)["verb_logits"].isfinite().all()


def test_a_deep_novel_task_reads_the_levels_of_its_pack() -> None:
    network = novel_network("mq", setup("mq"), pack_of("ar", "lta"), prototypes_of("ar", "lta"), INTERACTION)
    assert len(network.backbone.level) == 3
    outputs = network("mq", small.batch_of(small.samples_of("mq"), levels=3))
    assert outputs["class_logits"].isfinite().all()


@pytest.mark.parametrize(
    ("name", "model", "pack", "prototypes", "message"),
    [
        ("ar", {}, {}, ("ar", "lta"), r"^tasks\.ar\.pack: the pack was trained with 'ar', so it is not novel to it$"),
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
        novel_network(name, setup(name, **model), pack_of("ar", "lta", **pack), prototypes_of(*prototypes), INTERACTION)


def test_streams_of_moment_queries_need_the_width_of_the_backbone() -> None:
    pack = pack_of("ar", "lta", features=4)
    with pytest.raises(UserError, match=r"tasks\.mq\.model\.features 4: must be the backbone's width 8"):
        novel_network("mq", setup("mq", features=4), pack, prototypes_of("ar", "lta", width=4), INTERACTION)


def test_prototypes_of_another_width() -> None:
    with pytest.raises(UserError, match="prototypes"):
        novel_network("oscc", setup("oscc"), pack_of("ar"), prototypes_of("ar", width=5), INTERACTION)


def test_samples_are_drawn_as_the_task_wants_them() -> None:
    samples = small.samples_of("pnr", 4)
    loader = train_loader(
        "pnr", small.task_params("pnr"), samples, small.Features(), batch_size=2, radius_s=2.0, seed=0
    )
    before = {sample.key: sample.targets["window"].tolist() for sample in samples}
    drawn = []
    for batch, _ in loader.epoch():
        windows = batch.targets["window"].reshape(-1, 2).tolist()
        drawn += [window != before[key] for key, window in zip(batch.keys, windows, strict=True)]
    assert any(drawn)
    assert loader.levels == 1
