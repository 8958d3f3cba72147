"""The weights of the epoch that scored best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class BestWeights:
    """The weights that scored best so far.

    Scores are greater where better. Several are put together as the mean of their changes relative to the first
    evaluation, so that no unit matters; one alone is ranked as it is.
    """

    first: dict[str, float] = field(default_factory=dict)
    score: float = -float("inf")
    epoch: int = -1
    waited: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, epoch: int, scores: Mapping[str, float], weights: Mapping[str, Tensor]) -> bool:
        """Keep a copy of the weights if they score better than all before; how long it is since then is `waited`."""
        self.first = self.first or dict(scores)
        changes = [(value - self.first[name]) / max(abs(self.first[name]), 1e-12) for name, value in scores.items()]
        total = next(iter(scores.values())) if len(scores) == 1 else sum(changes) / len(changes)
        self.waited += 1
        if total > self.score:
            self.score, self.epoch, self.waited = total, epoch, 0
            self.weights = {name: value.detach().clone() for name, value in weights.items()}
        return self.waited == 0

    def record(self) -> dict[str, Any]:
        """All but the weights, JSON-ready."""
        return {"first": self.first, "score": self.score, "epoch": self.epoch, "waited": self.waited}
