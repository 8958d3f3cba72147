"""Footage: a video of which nothing is annotated, cut into what a task predicts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from egopack.data.grid import Grid
from egopack.data.samples import Sample

PART_ROWS = 512  # windows are predicted in parts of about so many rows, which bounds memory


@dataclass(frozen=True)
class Footage:
    """A video of `count` feature rows on a grid.

    stretches: what to predict, [S, 2] in seconds; the whole video where None
    reach_s: how far the features of a node depend on other nodes, in seconds
    window_s, clip_s: how long the windows and the clips are that the whole video is cut into
    part_rows: after how many rows windows fall into another part
    """

    video: str
    count: int
    grid: Grid
    stretches: np.ndarray | None = None
    reach_s: float = 0.0
    window_s: float = 8.0
    clip_s: float = 480.0
    part_rows: int = PART_ROWS

    @property
    def step_s(self) -> float:
        """Seconds from one row to the next."""
        return self.grid.stride / self.grid.fps

    @property
    def seconds(self) -> float:
        """How long the video is."""
        return self.count * self.step_s

    def windows(self) -> np.ndarray:
        """The stretches, or windows one after the other, of which a last one of less than half joins the one before;
        float64 [S, 2].
        """
        if self.stretches is not None:
            return self.stretches
        count = max(math.ceil(self.seconds / self.window_s - 0.5), 1)
        start = self.window_s * np.arange(count)
        return np.stack([start, [*start[1:], self.seconds]], axis=1)

    def parts(self) -> Iterator[np.ndarray]:
        """The windows, in order, in parts whose rows are about `part_rows`; a longer window is a part of its own."""
        windows = self.windows()
        first = 0
        for index in range(1, len(windows) + 1):
            if index == len(windows) or np.ptp(windows[first : index + 1]) > self.part_rows * self.step_s:
                yield windows[first:index]
                first = index

    def pooled(self, windows: np.ndarray, targets: dict[str, np.ndarray], **more: Any) -> Sample:
        """A sample whose features are pooled over each of the windows.

        Its rows are those of the windows and as many around them as these depend on, at their places in the whole
        video, so that the windows come out as if there were one sample of all rows.
        """
        low = math.floor((windows.min() - self.reach_s) / self.step_s)
        high = math.ceil((windows.max() + self.reach_s) / self.step_s)
        rows = np.arange(max(low, 0), min(high, self.count), dtype=np.int64)
        pos = self.grid.positions(self.count)[rows]
        return Sample(self.video, self.video, rows, pos, targets, windows.astype(np.float32), **more)

    def rows(self, start_s: float, end_s: float) -> np.ndarray:
        """The rows of a stretch, or the nearest one."""
        first, last = (round(seconds * self.grid.fps) for seconds in (start_s, end_s))
        rows = self.grid.rows(first, last, self.count)
        return rows if len(rows) else self.grid.nearest(last - 1, self.count)

    def clips(self, targets: dict[str, np.ndarray]) -> list[Sample]:
        """A sample for each of the stretches, or of clips that overlap by a quarter where the video is longer than one.

        Metadata, in seconds: `at` [2], where it lies; `core` [2], the part that is its own and no other's; `duration`.
        """
        bounds, cores = self.stretches, self.stretches
        if bounds is None or cores is None:
            hop = 0.75 * self.clip_s
            count = max(math.ceil((self.seconds - self.clip_s) / hop), 0) + 1
            start = np.minimum(hop * np.arange(count), max(self.seconds - self.clip_s, 0.0))
            bounds = np.stack([start, np.minimum(start + self.clip_s, self.seconds)], axis=1)
            seams = (bounds[:-1, 1] + bounds[1:, 0]) / 2
            cores = np.stack([[0.0, *seams], [*seams, math.inf]], axis=1)
        samples = []
        for bound, core in zip(bounds, cores, strict=True):
            rows = self.rows(*bound)
            at = np.array([rows[0], rows[-1] + 1]) * self.step_s
            metadata: dict[str, np.ndarray] = {"at": at, "core": core, "duration": at[1:] - at[:1]}
            pos = self.grid.positions(len(rows))
            samples.append(Sample(self.video, self.video, rows, pos, targets, metadata=metadata))
        return samples
