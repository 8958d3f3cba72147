"""Which videos train and which validate, where the source does not say: by groups, and kept once it is written down."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.files import atomic_path
from egopack.params import SplitParams

if TYPE_CHECKING:
    import pandas as pd

HEADER = ["video", "split"]
WITHOUT = "video without a split, where others have one"


def assign(videos: pd.DataFrame, kept: Mapping[str, str], how: SplitParams, skips: Skips) -> dict[str, str]:
    """The split of every video: the source's own; where it has none at all, what `kept` says, and for others a draw.

    Videos of one group (a person, a place; a video that has none is its own) go together. A group of which a video is
    in `kept` follows it; the others, in an order drawn by the seed, go to the split that lacks most.
    """
    own = videos["split"].dropna()
    if len(own):
        for video in videos.index[videos["split"].isna()]:
            skips.add(WITHOUT, str(video))
        return {str(video): str(split) for video, split in own.items()}
    group = videos["group"].where(videos["group"].notna(), videos.index.to_series())
    splits = {video: kept[video] for video in videos.index if video in kept}
    settled = {group[video]: split for video, split in splits.items()}
    sizes = Counter(group)
    count = Counter(dict.fromkeys(("train", "val"), 0))
    for name, split in settled.items():
        count[split] += sizes[name]
    new = sorted(set(sizes) - set(settled))
    for turn, i in enumerate(np.random.default_rng(how.seed).permutation(len(new)), start=1):
        total = sum(count.values()) + sizes[new[i]]
        split = "val" if count["val"] + sizes[new[i]] / 2 < how.val * total else "train"
        if not count["train"]:
            split = "train"
        elif not count["val"] and turn == len(new):
            split = "val"
        settled[new[i]] = split
        count[split] += sizes[new[i]]
    return {str(video): settled[group[video]] for video in videos.index}


def read_splits(path: Path) -> dict[str, str]:
    """What `write_splits` wrote; nothing where there is no such file."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(HEADER) or row[1] not in ("train", "val"):
            raise UserError(f"{path}: row {number} is {','.join(row)[:60]!r}, expected a video and train or val")
    if not rows or rows[0] != HEADER:
        raise UserError(f"{path}: row 1 is not {','.join(HEADER)}; remove the file to draw the split anew")
    return dict(row for row in rows[1:])


def write_splits(path: Path, splits: Mapping[str, str]) -> None:
    """Write video,split of every video, sorted."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *sorted(splits.items())])
