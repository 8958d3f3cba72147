"""Frames of videos, at a steady rate, in windows as feature rows have them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egopack.errors import UserError

if TYPE_CHECKING:
    import av

TOLERANCE_S = 2e-3  # how much too late a frame may be for its place; many files count in milliseconds


@dataclass
class Frame:
    """One decoded frame, converted when it is asked for and no sooner."""

    decoded: Any
    _pixels: np.ndarray | None = field(default=None, repr=False)

    def pixels(self, short_side: int) -> np.ndarray:
        """RGB, uint8 [H, W, 3]; scaled so that the shorter side is `short_side`, unless that is 0."""
        if self._pixels is None:
            width, height = self.decoded.width, self.decoded.height
            scale = short_side / min(width, height) if short_side else 1.0
            size = {"width": round(width * scale), "height": round(height * scale)}
            self._pixels = self.decoded.to_ndarray(format="rgb24", **size)
        return self._pixels


class Video:
    """A video file. `expected` is about how many frames it has at `fps`, `undecodable` how many packets were left out.

    Raises UserError where it cannot be read, or PyAV is not installed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps, self.undecodable = path, fps, 0
        self._open().close()

    def _open(self) -> av.container.InputContainer:
        try:
            import av
        except ImportError:
            raise UserError("videos are read by PyAV, which is not installed: pip install 'egopack[video]'") from None
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such video")
        try:
            container = av.open(str(self.path))
        except (av.error.FFmpegError, OSError) as error:
            raise UserError(f"{self.path}: not a video that can be read ({error})") from None
        if not container.streams.video:
            container.close()
            raise UserError(f"{self.path}: holds no video stream")
        container.streams.video[0].thread_type = "AUTO"
        length = container.duration / av.time_base if container.duration else 0.0
        self.expected = round(length * self.fps)
        return container

    def _decoded(self) -> Iterator[tuple[float, Any]]:
        """Every frame that can be decoded, with its seconds from the first."""
        import av

        with self._open() as container:
            stream = container.streams.video[0]
            first = None
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    self.undecodable += 1
                    continue
                for frame in frames:
                    time = float(frame.time) if frame.time is not None else 0.0
                    first = time if first is None else first
                    yield time - first, frame

    def frames(self) -> Iterator[Frame]:
        """Frame k is what is seen k / fps seconds after the first: the last one that came until then."""
        shown: Frame | None = None
        number, before, step = 0, 0.0, 1 / self.fps
        for time, decoded in self._decoded():
            while shown is not None and number * step < time - TOLERANCE_S:
                yield shown
                number += 1
            step_here = time - before
            before, last_step = time, step_here if step_here > 0 else step
            shown = Frame(decoded)
        while shown is not None and number * step < before + last_step - TOLERANCE_S:
            yield shown
            number += 1

    def windows(self, stride: int, window: int) -> Iterator[list[Frame]]:
        """Window i is of the frames stride * i up to stride * i + window - 1. A last one is moved back to end with the
        video, as the official extraction does; a video that is shorter than a window stays in its last frame.
        """
        kept: deque[Frame] = deque(maxlen=window)
        count = 0
        for count, frame in enumerate(self.frames(), start=1):
            kept.append(frame)
            if count >= window and (count - window) % stride == 0:
                yield list(kept)
        if 0 < count < window:
            yield [*kept, *[kept[-1]] * (window - count)]
        elif count and (count - window) % stride:
            yield list(kept)


def count_windows(frames: int, stride: int, window: int) -> int:
    """How many windows a video of so many frames has."""
    return 0 if frames < 1 else 1 + max(-(-(frames - window) // stride), 0)
