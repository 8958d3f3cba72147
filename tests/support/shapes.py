"""Videos of colored squares that move and grow, with the table of what happens when: a kitchen in the small."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

WIDTH, HEIGHT, FPS = 96, 72, 30
COLORS = {
    "red": (230, 40, 40),
    "green": (40, 200, 60),
    "blue": (50, 70, 240),
    "yellow": (240, 220, 40),
    "pink": (240, 60, 220),
    "white": (240, 240, 240),
}
# verb -> how far it moves to the right and down, and by how much half its width grows, in pixels
VERBS = {
    "slide left": (-60, 0, 0),
    "slide right": (60, 0, 0),
    "rise": (0, -40, 0),
    "fall": (0, 40, 0),
    "grow": (0, 0, 22),
    "shrink": (0, 0, -22),
}
HALF = 15  # of the width of a square, on average
GROUND = 25


class Shown(NamedTuple):
    """A square that does something, in seconds of the video."""

    start: float
    end: float
    verb: str
    noun: str


def draw_events(seconds: float, rng: np.random.Generator) -> list[Shown]:
    """One square after the other, with nothing in between."""
    found, now = [], float(rng.uniform(0.3, 1.0))
    while now + 1.5 < seconds:
        end = min(now + float(rng.uniform(1.4, 2.6)), seconds - 0.1)
        found.append(Shown(round(now, 2), round(end, 2), str(rng.choice(list(VERBS))), str(rng.choice(list(COLORS)))))
        now = end + float(rng.uniform(0.3, 1.0))
    return found


def write_shapes(path: Path, seconds: float, rng: np.random.Generator) -> list[Shown]:
    """A video of squares; what it shows."""
    events = draw_events(seconds, rng)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 400_000
        for number in range(int(seconds * FPS)):
            pixels = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
            for event in events:
                share = (number / FPS - event.start) / (event.end - event.start)
                if 0 <= share < 1:
                    right, down, larger = (int(by * (share - 0.5)) for by in VERBS[event.verb])
                    x, y, half = WIDTH // 2 + right, HEIGHT // 2 + down, HALF + larger
                    pixels[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = COLORS[event.noun]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return events


def write_own(folder: Path, videos: int, seconds: float, seed: int) -> None:
    """`videos/` and `segments.csv`, a row for every square that is seen."""
    rng = np.random.default_rng(seed)
    (folder / "videos").mkdir(parents=True)
    with (folder / "segments.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "start", "end", "verb", "noun", "label"])
        for number in range(videos):
            name = f"phone {number:02d}.mp4"
            events = write_shapes(folder / "videos" / name, seconds, rng)
            writer.writerows([name, *event, event.verb] for event in events)
