"""Where dropout stands: the shapes of what it is given, in the order of the network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from egopack.nn.backbone import Backbone
from egopack.nn.dropout import Dropout
from egopack.nn.heads import Neck
from egopack.nn.interaction import Interaction
from egopack.params import InteractionParams
from tests.support import small


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, tuple[int, ...]]]:
    """Probability and shape of every dropout while training."""
    places: list[tuple[float, tuple[int, ...]]] = []
    forward = Dropout.forward

    def noting(self: Dropout, x: Tensor) -> Tensor:
        out = forward(self, x)
        if self.p and self.training:
            places.append((self.p, tuple(x.shape)))
            assert not torch.equal(out, x)
        return out

    monkeypatch.setattr(Dropout, "forward", noting)
    return places


def test_backbone(dropped: list[tuple[float, tuple[int, ...]]]) -> None:
    batch = small.batch_of(small.samples_of("mq", 3), levels=2)
    params = small.backbone_params(
        dropout=0.25, projection="mlp", projection_dropout=0.5, ffn=True, ffn_expansion=2.0, hidden=small.HIDDEN
    )
    Backbone(batch.x.shape[1], 2, params).train()(batch.x, batch.pyramid)
    first, second = len(batch.x), len(batch.pyramid[0].pooling.center)  # type: ignore[union-attr]
    hidden = small.HIDDEN
    levels = [(0.25, (rows, width)) for rows in (first, second) for width in (hidden, 2 * hidden, hidden)]
    assert dropped == [(0.5, (first, hidden)), *levels]


def test_interaction(dropped: list[tuple[float, tuple[int, ...]]]) -> None:
    Interaction(torch.randn(5, 8), InteractionParams(k=2, hidden=4, rounds=2, dropout=0.5)).train()(torch.randn(7, 8))
    assert dropped == [(0.5, (7, 8)), (0.5, (5, 8))] * 2


def test_neck(dropped: list[tuple[float, tuple[int, ...]]]) -> None:
    Neck(8, 6, 0.5).train()(torch.randn(9, 8))
    assert {p for p, _ in dropped} == {0.5}
    assert dropped
