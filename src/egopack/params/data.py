"""Where features come from: the raw data, or the built-in corpus."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from egopack.params.checks import Count, Fraction, Positive, Seed, Strict


class FeatureSet(Strict):
    """One directory of features: row i starts at frame stride * i and covers `window` frames; `size` numbers a row."""

    stride: Count = 16
    window: Count = 16
    fps: Positive = 30.0
    size: Count


class DataParams(Strict):
    """Where the raw data is and how it is stored; several feature sets are concatenated on the grid of the first."""

    root: str
    version: Literal["v1", "v2"] = "v1"
    features: dict[str, FeatureSet] = Field(min_length=1)
    storage: Literal["float16", "float32"] = "float32"
    shard_mb: Count = 512

    @field_validator("features")
    @classmethod
    def _folder_names(cls, value: dict[str, FeatureSet]) -> dict[str, FeatureSet]:
        for name in value:
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise ValueError(f"{name!r} is not the name of a folder of features: letters, digits and _.- only")
        return value


class SyntheticParams(Strict):
    """Size and difficulty of the built-in corpus; what each means is told in ego4d/world.py."""

    seed: Seed = 0
    world: Seed = 0
    train_videos: Count = 60
    val_videos: Count = 72
    test_videos: Annotated[int, Field(ge=0)] = 6
    mean_minutes: Positive = 4.5
    feature_set: str = "egovlp"
    feature_size: Count = 64
    verbs: Count = 20
    nouns: Count = 30
    moments: Count = 20
    actions_per_minute: Positive = 7.0
    min_actions: Count = 25
    windows_per_clip: Count = 14
    two_clips: Fraction = 0.1
    noise: Annotated[float, Field(ge=0)] = 0.9
    drift: Annotated[float, Field(ge=0)] = 0.7
    quirk_rate: Fraction = 0.04
    missing_features: Annotated[int, Field(ge=0)] = 2
    truncated_features: Annotated[int, Field(ge=0)] = 1
    nan_features: Annotated[int, Field(ge=0)] = 1
