"""Small videos whose frames tell their number: all pixels of frame n are of gray level n (lossless)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE = (32, 24)
FORMATS = {"ffv1": "bgr0", "png": "rgb24", "mpeg4": "yuv420p"}  # the last is not lossless


def write_video(
    path: Path, frames: int, fps: float = 30.0, times: list[float] | None = None, codec: str = "ffv1"
) -> Path:
    """A video of gray frames 0, 1, 2 ...; `times` are their seconds, evenly spread by default."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = *SIZE, FORMATS[codec]
        stream.codec_context.time_base = Fraction(1, 30000)
        for number in range(frames):
            pixels = np.full((SIZE[1], SIZE[0], 3), number % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round(30000 * (number / fps if times is None else times[number]))
            frame.time_base = Fraction(1, 30000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
