"""Weights of another network as initial weights."""

from __future__ import annotations

import pytest
import torch

from egopack.errors import UserError
from egopack.model.initial_weights import load_initial
from tests.support import small


def test_initial_weights_copies_what_both_have() -> None:
    other, network = small.network_of("ar", "mq", seed=1), small.network_of("ar", "pnr", seed=2)
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    assert load_initial(network, other, "there") == ["pnr"]
    theirs = other.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, theirs[name] if name in theirs else fresh[name])


def test_initial_weights_names_what_does_not_fit() -> None:
    other = small.network_of("ar", backbone=small.backbone_params(10))
    with pytest.raises(UserError, match=r"there: \d+ weights have other shapes: backbone\.projection\.0\.weight"):
        load_initial(small.network_of("ar"), other, "there")
    other = small.network_of("ar", backbone=small.backbone_params(conv={"name": "sage"}))
    other.backbone.level = torch.nn.ModuleList()
    with pytest.raises(UserError, match="another kind of convolution"):
        load_initial(small.network_of("ar"), other, "there")
