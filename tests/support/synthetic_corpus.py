"""A built-in corpus, read back for tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egopack.params import SyntheticParams
from egopack.synthetic.corpus import write_corpus

SMALL = SyntheticParams(seed=2, train_videos=10, val_videos=6, test_videos=2, mean_minutes=2.5, two_clips=0.2)
SPLITS = ("train", "val", "test_unannotated")


class Corpus:
    """A corpus read back with nothing but json and torch."""

    def __init__(self, root: Path, settings: SyntheticParams) -> None:
        self.root, self.settings = root, settings
        self.summary = write_corpus(root, settings)

    def json(self, name: str) -> Any:
        return json.loads((self.root / "annotations" / "v1" / f"{name}.json").read_text(encoding="utf-8"))

    def lta(self, split: str) -> list[dict[str, Any]]:
        return self.json(f"fho_lta_{split}")["clips"]

    def windows(self, split: str) -> list[dict[str, Any]]:
        return self.json(f"fho_oscc-pnr_{split}")["clips"]

    def moment_clips(self, split: str) -> list[dict[str, Any]]:
        return [clip for video in self.json(f"moments_{split}")["videos"] for clip in video["clips"]]

    def labels(self, split: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(clip, marked segment)"""
        for clip in self.moment_clips(split):
            for annotator in clip["annotations"]:
                for row in annotator["labels"]:
                    yield clip, row

    @cached_property
    def frames(self) -> dict[str, int]:
        return {v["video_uid"]: v["video_metadata"]["num_frames"] for v in self.json("ego4d")["videos"]}

    @cached_property
    def features(self) -> dict[str, np.ndarray]:
        """Those that can be read."""
        found = {}
        for path in sorted((self.root / "features" / self.settings.feature_set).glob("*.pt")):
            if self.summary["injured"].get(path.stem) != "truncated":
                found[path.stem] = torch.load(path, weights_only=True).numpy()
        return found

    def digest(self) -> dict[str, str]:
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
