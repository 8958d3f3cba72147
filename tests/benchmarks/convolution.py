"""TDGC over its matrix products, on regular and irregular positions; time per node as graphs grow."""

from __future__ import annotations

import statistics

import numpy as np
import torch
from torch import Tensor

from egopack.data.pyramid import build_pyramid, radius_edges
from egopack.nn.backbone import Backbone
from egopack.nn.tdgc import TDGC
from tests.benchmarks.floor import Product, floor_of, products_of
from tests.benchmarks.measure import Run, Work, clock, digits
from tests.benchmarks.workloads import GRID, RADIUS_S, backbone_params, size_of

REFERENCE = 10_000  # nodes that the others are compared with


def make(case: str, quick: bool) -> Work:
    if case.startswith("scaling"):
        return scaling(case, quick)
    size = size_of(quick)
    lengths = [900 // (30 if quick else 1)] * 4
    regular = np.concatenate([GRID.positions(length) for length in lengths])
    jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(regular)).astype(np.float32)
    conv = TDGC(size.hidden)
    torch.nn.init.normal_(conv.bias)
    ours = forward_backward(conv, regular, lengths)
    if case == "conv_regular":
        product = Product(len(regular), size.hidden, size.hidden, True, True)
        return Work(ours, floor_of([product, product]), "its two matrix products", goal=1.25)
    irregular = forward_backward(conv, regular + jitter, lengths)
    return Work(
        irregular, ours, "regular positions", goal=3.0, check=lambda: same_by_edge(conv, regular + jitter, lengths)
    )


def forward_backward(conv: TDGC, pos: np.ndarray, lengths: list[int]) -> Run:
    x = torch.randn(len(pos), conv.size, requires_grad=True)
    edges = radius_edges(pos, lengths, RADIUS_S)
    gradient = torch.randn(len(pos), conv.size)

    def run() -> None:
        x.grad = None
        conv.zero_grad(set_to_none=True)
        conv(x, edges).backward(gradient)

    return run


def same_by_edge(conv: TDGC, pos: np.ndarray, lengths: list[int]) -> None:
    """The convolution equals the readable form, message by message."""
    x: Tensor = torch.randn(len(pos), conv.size)
    edges = radius_edges(pos, lengths, RADIUS_S)
    with torch.no_grad():
        message = torch.nn.functional.leaky_relu(conv.neighbor(x), 0.2)
        weight = (edges.sign / edges.degree[edges.target])[:, None]
        sent = message[edges.source] * weight * conv.gates(edges.distances)[edges.distance_id]
        received = torch.zeros_like(message).index_add(0, edges.target, sent)
        torch.testing.assert_close(conv(x, edges), received + conv.root(x) + conv.bias, rtol=1e-4, atol=1e-4)


def scaling(case: str, quick: bool) -> Work:
    """Seconds per node of a level of the backbone, graph included, against those of 10,000 nodes in 16 videos."""
    kind, count = case.removeprefix("scaling_").split("_")
    number, small = int(count), 50 if quick else 1
    lengths = [max(1, number // small)] if kind == "nodes" else [max(1, 400 // small)] * number
    reference = [REFERENCE // 16 // small] * 16
    backbone = Backbone(64, 1, backbone_params(size_of(quick)))
    repeats = max(1, REFERENCE // sum(lengths)) if not quick else 1
    ours, other = level_step(backbone, lengths, repeats), level_step(backbone, reference, 1)
    units = sum(lengths) * repeats, sum(reference)

    def floors() -> dict[str, float]:
        """The same ratio of the matrix products alone: what small graphs cost on this machine whoever computes them."""
        seconds = []
        for products, nodes in ((products_of(ours), units[0]), (products_of(other), units[1])):
            floor = floor_of(products)
            floor()
            seconds.append(statistics.median(clock(floor) for _ in range(3)) / nodes)
        return {"products_ratio": digits(seconds[0] / seconds[1])}

    return Work(ours, other, f"{sum(reference):,} nodes in 16 videos, per node", goal=1.25, units=units, extra=floors)


def level_step(backbone: Backbone, lengths: list[int], repeats: int) -> Run:
    pos = np.concatenate([GRID.positions(length) for length in lengths])
    x = torch.randn(len(pos), 64)

    def run() -> None:
        for _ in range(repeats):
            backbone.zero_grad(set_to_none=True)
            pyramid = build_pyramid(pos, lengths, levels=1, radius_s=RADIUS_S)
            backbone(x, pyramid)[0].mean().backward()

    return run
