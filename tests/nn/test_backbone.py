from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from egopack.data.pyramid import Pyramid, build_pyramid, even_nodes
from egopack.nn.backbone import Backbone, LevelBlock, pool_nodes
from tests.support import small

WIDTH, HIDDEN = 5, 8
LENGTHS = [11, 1, 6]


def pyramid_of(lengths: list[int], levels: int) -> Pyramid:
    pos = np.concatenate([(0.5 + np.arange(n)) * 0.5 for n in lengths]).astype(np.float32)
    return build_pyramid(pos, lengths, levels=levels, radius_s=2.0)


def backbone_of(levels: int = 3, **changes: Any) -> Backbone:
    return small.randomize(Backbone(WIDTH, levels, small.backbone_params(HIDDEN, **changes))).eval()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.sampled_from(["mean", "max", "subsample"]))
def test_pooling_by_brute_force(lengths: list[int], pool: Any) -> None:
    x = torch.randn(sum(lengths), 3, generator=torch.Generator().manual_seed(sum(lengths)))
    expected = []
    for own in x.split(lengths):
        for i in range(0, len(own), 2):
            near = [(own[j], weight) for j, weight in ((i - 1, 1), (i, 2), (i + 1, 1)) if 0 <= j < len(own)]
            rows = torch.stack([row for row, _ in near])
            weights = torch.tensor([float(weight) for _, weight in near])
            mean = (rows * weights[:, None]).sum(0) / weights.sum()
            expected.append({"mean": mean, "max": rows.amax(0), "subsample": own[i]}[pool])
    torch.testing.assert_close(pool_nodes(x, even_nodes(lengths), pool), torch.stack(expected))


@pytest.mark.parametrize("pool", ["mean", "max", "subsample"])
def test_gradients_of_pooling_by_finite_differences(pool: Any) -> None:
    x = torch.randn(sum(LENGTHS), 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: pool_nodes(value, even_nodes(LENGTHS), pool), [x])


CHANGES: list[dict[str, Any]] = [
    {},
    {"pool": "max"},
    {"pool": "subsample", "convs_per_level": 1},
    {"projection": "mlp", "pre_norm": True, "ffn": True, "ffn_expansion": 1.5, "convs_per_level": 3},
    {"conv": {"name": "gat"}},
    {"conv": {"name": "signed"}},
]


def by_hand(backbone: Backbone, x: Tensor, pyramid: Pyramid) -> list[Tensor]:
    """Section 3 of the method, spelt out."""
    params, outputs = backbone.params, []
    h = backbone.projection[0](x)
    if params.projection == "mlp":
        h = backbone.projection[1](torch.relu(h))
    for block, level in zip(backbone.level, pyramid, strict=True):
        assert isinstance(block, LevelBlock)
        y = h if not params.pre_norm else F.layer_norm(h, [HIDDEN], block.conv_norm.weight, block.conv_norm.bias)
        for index in range(params.convs_per_level):
            y = block.conv[index](y, level)
            if index + 1 < params.convs_per_level:
                y = F.leaky_relu(y, 0.2)
        h = h + F.leaky_relu(F.layer_norm(y, [HIDDEN], block.norm.weight, block.norm.bias), 0.2)
        if params.ffn:
            y = F.layer_norm(h, [HIDDEN], block.ffn_norm.weight, block.ffn_norm.bias)
            h = h + block.ffn[1](torch.relu(block.ffn[0](y)))
        outputs.append(h)
        if level.pooling is not None:
            h = pool_nodes(h, level.pooling, params.pool)
    return outputs


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_levels_by_hand(changes: dict[str, Any]) -> None:
    backbone, pyramid = backbone_of(**changes), pyramid_of(LENGTHS, 3)
    x = torch.randn(sum(LENGTHS), WIDTH)
    for got, want in zip(backbone(x, pyramid), by_hand(backbone, x, pyramid), strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_videos_of_a_batch_do_not_meet_at_any_level(changes: dict[str, Any]) -> None:
    backbone = backbone_of(**changes)
    x = torch.randn(sum(LENGTHS), WIDTH)
    together = backbone(x, pyramid_of(LENGTHS, 3))
    alone = [backbone(own, pyramid_of([len(own)], 3)) for own in x.split(LENGTHS)]
    for index, level in enumerate(together):
        torch.testing.assert_close(level, torch.cat([levels[index] for levels in alone]), atol=1e-4, rtol=1e-4)


def test_a_video_of_one_node_reaches_every_level() -> None:
    outputs = backbone_of(levels=4)(torch.randn(1, WIDTH), pyramid_of([1], 4))
    assert [tuple(level.shape) for level in outputs] == [(1, HIDDEN)] * 4
    assert all(level.isfinite().all() for level in outputs)


def test_a_shallow_pyramid_reads_the_first_levels() -> None:
    backbone, x = backbone_of(levels=3), torch.randn(sum(LENGTHS), WIDTH)
    deep, shallow = backbone(x, pyramid_of(LENGTHS, 3)), backbone(x, pyramid_of(LENGTHS, 1))
    assert len(shallow) == 1
    assert torch.equal(shallow[0], deep[0])
    with pytest.raises(ValueError, match="a pyramid of 4 levels for a backbone of 3"):
        backbone(x, pyramid_of(LENGTHS, 4))


def test_dropout_acts_in_training_only() -> None:
    backbone, pyramid = backbone_of(dropout=0.5), pyramid_of(LENGTHS, 3)
    x = torch.randn(sum(LENGTHS), WIDTH)
    assert torch.equal(backbone(x, pyramid)[-1], backbone(x, pyramid)[-1])
    backbone.train()
    assert not torch.equal(backbone(x, pyramid)[-1], backbone(x, pyramid)[-1])


def test_every_parameter_takes_part() -> None:
    backbone = backbone_of(ffn=True, pre_norm=True, projection="mlp")
    sum(level.square().sum() for level in backbone(torch.randn(sum(LENGTHS), WIDTH), pyramid_of(LENGTHS, 3))).backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
