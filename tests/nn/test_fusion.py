from __future__ import annotations

import torch
from torch import nn

from egopack.nn.fusion import Fusion, fuse, mean_logits


def test_fuse_by_hand() -> None:
    x, a, b = torch.randn(3, 5, 4)
    assert fuse(x, None) is x
    assert fuse(x, {}) is x
    torch.testing.assert_close(fuse(x, {"a": a}), x + a)
    torch.testing.assert_close(fuse(x, {"a": a, "b": b}, 0.01), x + 0.01 * (a + b) / 2)


def test_mean_logits_by_hand() -> None:
    x, a, b = torch.randn(3, 5, 4)
    heads = {"a": lambda value: 2 * value, "b": lambda value: value - 1}
    assert mean_logits(x, None, heads) is x
    torch.testing.assert_close(mean_logits(x, {"a": a, "b": b}, heads), (x + 2 * a + b - 1) / 3)


def heads() -> dict[str, nn.Module]:
    return {"verb": nn.Linear(4, 2), "noun": nn.Linear(4, 3)}


def test_features_are_fused_without_a_weight() -> None:
    x, a, b = torch.randn(3, 5, 4)
    fusion = Fusion("features", ["a", "b"], heads, scale=0.01)
    assert not fusion.state_dict()
    torch.testing.assert_close(fusion.fuse_features(x, {"a": a, "b": b}), x + 0.01 * (a + b) / 2)
    assert fusion.fuse_features(x, None) is x
    assert fusion.fuse_logits("verb", x, {"a": a}) is x


def test_logits_are_fused_by_a_head_of_each_stream() -> None:
    x, a, b = torch.randn(3, 5, 4)
    fusion = Fusion("logits", ["a", "b"], heads)
    named = [f"{stream}.{head}" for stream in ("a", "b") for head in ("verb", "noun")]
    assert list(fusion.state_dict()) == [f"{name}.{part}" for name in named for part in ("weight", "bias")]
    for head, size in (("verb", 2), ("noun", 3)):
        own = torch.randn(5, size)
        of_a, of_b = (fusion.get_submodule(f"{stream}.{head}")(value) for stream, value in (("a", a), ("b", b)))
        found = fusion.fuse_logits(head, own, {"a": a, "b": b})
        torch.testing.assert_close(found, (own + of_a + of_b) / 3)
        assert fusion.fuse_logits(head, own, None) is own
    assert fusion.fuse_features(x, {"a": a}) is x
