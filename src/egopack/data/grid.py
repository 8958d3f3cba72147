"""Frames, feature rows and seconds (section 1 of the method)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Row i of a video starts at frame stride * i of a video with `fps` frames a second."""

    stride: int
    fps: float

    def rows(self, start: float, end: float, available: int) -> np.ndarray:
        """Rows of the clip [start, end) in frames, of a video that has `available` rows; empty when there are none."""
        return np.arange(max(start // self.stride, 0), min(end // self.stride, available), dtype=np.int64)

    def nearest(self, frame: float, available: int) -> np.ndarray:
        """The row nearest to a frame, alone, of a video that has `available` rows."""
        return np.array([min(max(int(frame // self.stride), 0), available - 1)], dtype=np.int64)

    def positions(self, count: int, offset: float = 0.5) -> np.ndarray:
        """Seconds of nodes 0 ... count-1: (offset + i) * stride / fps."""
        return ((offset + np.arange(count)) * self.stride / self.fps).astype(np.float32)

    def seconds(self, frame: np.ndarray | float, start: float) -> np.ndarray:
        """Where an event at a video frame sits in a clip that starts at frame `start`: ((f - s) + s mod stride) /
        fps.
        """
        return (np.asarray(frame, dtype=np.float64) - start + start % self.stride) / self.fps
