"""The other convolutions against PyG's classes on edges found by brute force."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, PositionalEncoding, SAGEConv, SignedConv

from egopack.data.pyramid import Level, build_pyramid
from egopack.nn.convolutions import make_convolution, position_encoding
from egopack.params import ConvParams
from tests.support import small

SIZE, LENGTHS = 8, [7, 1, 5]
POS = torch.tensor([0.0, 0.5, 0.5, 1.0, 4.0, 4.5, 9.0, 0.0, 0.0, 1.5, 3.0, 3.5, 8.0])
NAMES = ("tdgc", "gat", "gcn", "sage", "sage_position", "signed")


def level_of(pos: Tensor, lengths: list[int]) -> Level:
    return build_pyramid(pos.numpy(), lengths, levels=1, radius_s=2.0)[0]


def pairs(condition: str) -> Tensor:
    video = [index for index, length in enumerate(LENGTHS) for _ in range(length)]
    wanted = {"all": lambda d: True, "later": lambda d: d > 0, "earlier": lambda d: d < 0}[condition]
    n = range(len(POS))
    near = [(j, i) for i in n for j in n if i != j and video[i] == video[j] and abs(POS[j] - POS[i]) <= 2.0]
    return torch.tensor([(j, i) for j, i in near if wanted(POS[j] - POS[i])]).T


def published(name: str, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """PyG's class with its defaults, called on the brute-force edges."""
    classes: dict[str, nn.Module] = {"gat": GATConv(SIZE, SIZE), "gcn": GCNConv(SIZE, SIZE)}
    classes |= {"sage": SAGEConv(SIZE, SIZE), "sage_position": SAGEConv(SIZE, SIZE)}
    conv = classes.get(name) or SignedConv(SIZE, SIZE // 2, first_aggr=True)
    conv.load_state_dict(weights)
    if name == "sage_position":
        x = x + PositionalEncoding(SIZE)(POS)
    if name == "signed":
        return conv(x, pairs("later"), pairs("earlier"))
    return conv(x, pairs("all"))


@pytest.mark.parametrize("name", NAMES[1:])
def test_equals_the_class_of_pyg(name: str) -> None:
    conv = small.randomize(make_convolution(name, SIZE, ConvParams()))
    x = torch.randn(len(POS), SIZE, requires_grad=True)
    out = conv(x, level_of(POS, LENGTHS))
    assert out.shape == x.shape
    weights = {key.removeprefix("conv."): value for key, value in conv.state_dict().items()}
    torch.testing.assert_close(out, published(name, x, weights))
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_videos_of_a_batch_do_not_meet(name: str) -> None:
    conv = small.randomize(make_convolution(name, SIZE, ConvParams(gate_size=4)))
    x = torch.randn(len(POS), SIZE)
    parts = zip(x.split(LENGTHS), POS.split(LENGTHS), strict=True)
    alone = torch.cat([conv(own, level_of(pos, [len(pos)])) for own, pos in parts])
    torch.testing.assert_close(conv(x, level_of(POS, LENGTHS)), alone)


def test_settings_reach_the_gated_convolution() -> None:
    params = ConvParams(gate_size=3, aggr="sum", signed=False, gated=True, gate_activation="relu")
    conv = make_convolution("tdgc", SIZE, params)
    assert (conv.aggr, conv.signed, conv.gated, conv.gate_activation) == ("sum", False, True, "relu")
    assert conv.gate[0].weight.shape == (3, 1)


@pytest.mark.parametrize("size", [2, 8, 96])
def test_position_encoding_equals_that_of_pyg(size: int) -> None:
    position = torch.tensor([0.0, 1.0, 15.0, 0.25, 477.3])
    torch.testing.assert_close(position_encoding(position, size), PositionalEncoding(size)(position))
    frames = torch.arange(16)
    torch.testing.assert_close(position_encoding(frames, size), PositionalEncoding(size)(frames.float()))


def test_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="'mlp': not one of tdgc, gat, gcn, sage, sage_position, signed"):
        make_convolution("mlp", SIZE, ConvParams())
