"""How the streams of support tasks and a novel task's own features become one (section 5 of the method)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from torch import Tensor, nn

Streams = Mapping[str, Tensor]  # support task -> features, aligned to the novel task and past their interaction


class Fusion(nn.ModuleDict):
    """Fuses streams either into the features or, with heads of their own, into the logits; what it does not fuse it
    gives back as it is.

    Its weights are those of the streams' heads, <stream>.<head>, and there are none where features are fused.
    """

    def __init__(
        self,
        by: Literal["features", "logits"],
        streams: Sequence[str],
        heads: Callable[[], Mapping[str, nn.Module]],
        scale: float = 1.0,
    ) -> None:
        """`heads` makes the heads of one stream, by name; `scale` is what features are fused by (`fuse`)."""
        super().__init__({name: nn.ModuleDict(heads()) for name in streams} if by == "logits" else {})
        self.by, self.scale = by, scale

    def fuse_features(self, features: Tensor, streams: Streams | None) -> Tensor:
        """Features and streams [M, F] -> what the task's own head works on [M, F]."""
        return fuse(features, streams, self.scale) if self.by == "features" else features

    def fuse_logits(self, head: str, logits: Tensor, streams: Streams | None) -> Tensor:
        """Logits [M, C] of the task's own head and streams [M, F] -> logits [M, C]; `head` names the streams' heads."""
        if self.by == "features" or not streams:
            return logits
        return mean_logits(logits, streams, {name: self.get_submodule(f"{name}.{head}") for name in streams})


def fuse(features: Tensor, streams: Streams | None, scale: float = 1.0) -> Tensor:
    """features + scale * mean of the streams; all [M, F]."""
    if not streams:
        return features
    return features + scale * sum(streams.values()) / len(streams)


def mean_logits(main: Tensor, streams: Streams | None, heads: Mapping[str, Callable[[Tensor], Tensor]]) -> Tensor:
    """Mean of the main head's logits and those of one extra head per stream."""
    if not streams:
        return main
    return (main + sum(heads[name](stream) for name, stream in streams.items())) / (1 + len(streams))
