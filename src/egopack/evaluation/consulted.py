"""Which prototypes a novel task's features consult, and when in the video."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from egopack.data.batch import Batch
from egopack.data.grid import Grid
from egopack.data.samples import Sample
from egopack.model.network import Network
from egopack.nn.interaction import Interaction, nearest_prototypes


class Consultations:
    """Notes, while a network predicts, the nearest prototype of each support task for every feature that consults
    them, in the first round.
    """

    def __init__(self, network: Network, grid: Grid) -> None:
        self.grid = grid
        self.near: dict[str, np.ndarray] = {}
        self.tables: list[pd.DataFrame] = []
        for name, interaction in network.egopack.items():
            interaction.register_forward_hook(partial(self._note, name))

    def _note(self, name: str, interaction: Interaction, inputs: tuple[Tensor, ...], output: Any) -> None:
        index, _ = nearest_prototypes(inputs[0], interaction.prototypes, 1, interaction.distance)
        self.near[name] = index[:, 0].cpu().numpy().astype(np.int32)

    def take(self, batch: Batch, samples: Sequence[Sample]) -> None:
        """What the batch that was just predicted has consulted."""
        if not self.near:
            return
        count = len(next(iter(self.near.values())))
        self.tables.append(pd.DataFrame(when(batch, samples, self.grid, count) | self.near))

    def table(self) -> pd.DataFrame:
        """One row a feature: `video_uid`, `second` of the video, and for each support task the prototype's index."""
        if not self.tables:  # no stream consults anything
            return pd.DataFrame({"video_uid": np.array([], dtype=str), "second": np.array([], dtype=np.float32)})
        return pd.concat(self.tables, ignore_index=True)


def when(batch: Batch, samples: Sequence[Sample], grid: Grid, count: int) -> dict[str, Any]:
    """The video and the second of each of `count` aligned features: one a segment, one a sample, or one a node of the
    lower levels.
    """
    step = grid.stride / grid.fps
    uids = np.array([sample.video_uid for sample in samples])
    begin = np.array([sample.rows[0] for sample in samples]) * step
    segments = [sample.segments for sample in samples if sample.segments is not None]
    if segments and count == sum(map(len, segments)):
        owner = np.repeat(np.arange(len(samples)), [len(one) for one in segments])
        second = np.concatenate([one.mean(axis=1) for one in segments]) + begin[owner]
    elif count == len(samples):
        owner = np.arange(count)
        second = np.array([sample.rows[-1] + 1 for sample in samples]) * step
    else:
        owners, seconds = [], []
        for level in batch.pyramid:
            owners.append(level.video.cpu().numpy())
            seconds.append(level.pos.cpu().numpy() + begin[owners[-1]])
        seconds[0] = (np.concatenate([sample.rows for sample in samples]) + 0.5) * step  # rows may be spread out
        owner, second = np.concatenate(owners)[:count], np.concatenate(seconds)[:count]
    return {"video_uid": uids[owner], "second": second.astype(np.float32)}
