"""Convolutions that a user picks by name; all map [N, H] to [N, H] over the edges of a level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from egopack.data.pyramid import Level
from egopack.nn.exchange import Joint
from egopack.nn.tdgc import TDGC

if TYPE_CHECKING:
    from egopack.params import ConvParams


class Convolution(Protocol):
    """A module called with node features [N, H] and their level; a TDGC may be given its joint weights."""

    def __call__(self, x: Tensor, level: Level, joint: Joint | None = None) -> Tensor: ...


def position_encoding(position: Tensor, size: int) -> Tensor:
    """Sinusoidal encoding of positions [N] -> [N, size]: sines, then cosines, of frequencies 1 ... 1e-4 (as PyG's
    PositionalEncoding).
    """
    frequency = torch.logspace(0, 1, size // 2, base=1e-4, device=position.device)
    angle = position.to(torch.float32)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class TemporalGated(TDGC):
    """TDGC over the edges of a level."""

    def forward(self, x: Tensor, level: Level, joint: Joint | None = None) -> Tensor:  # type: ignore[override]
        return super().forward(x, level.edges, joint)


class _PyG(nn.Module):
    """A convolution of PyG with its defaults, over the same radius graph."""

    def __init__(self, conv: nn.Module, *, encode_position: bool = False, by_direction: bool = False) -> None:
        super().__init__()
        self.conv, self.encode_position, self.by_direction = conv, encode_position, by_direction

    def forward(self, x: Tensor, level: Level, joint: Joint | None = None) -> Tensor:
        edges = torch.stack([level.edges.source, level.edges.target])
        if self.encode_position:
            x = x + position_encoding(level.pos, x.shape[-1]).to(x.dtype)
        if self.by_direction:
            return cast(Tensor, self.conv(x, edges[:, level.edges.sign > 0], edges[:, level.edges.sign < 0]))
        return cast(Tensor, self.conv(x, edges))


def make_convolution(name: str, size: int, params: ConvParams) -> nn.Module:
    """The convolution `name` (tdgc, gat, gcn, sage, sage_position, signed) of width `size`.

    PyG is imported only when one of its classes is asked for: it takes longer to import than torch.
    """
    if name == "tdgc":
        return TemporalGated(
            size,
            gate_size=params.gate_size,
            aggr=params.aggr,
            signed=params.signed,
            gated=params.gated,
            gate_activation=params.gate_activation,
        )
    from torch_geometric.nn import GATConv, GCNConv, SAGEConv, SignedConv

    match name:
        case "gat":
            return _PyG(GATConv(size, size))
        case "gcn":
            return _PyG(GCNConv(size, size))
        case "sage":
            return _PyG(SAGEConv(size, size))
        case "sage_position":
            return _PyG(SAGEConv(size, size), encode_position=True)
        case "signed":
            return _PyG(SignedConv(size, size // 2, first_aggr=True), by_direction=True)
    raise ValueError(f"convolution {name!r}: not one of tdgc, gat, gcn, sage, sage_position, signed")
