"""What stands in a checkpoint's config.json beside the sizes of the network: all that its predictions mean.

Each field is an argument of `egopack.inference.model.Model`, as huggingface_hub's PyTorchModelHubMixin has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from egopack.labels import Labels
from egopack.model.network import NetworkSpec
from egopack.params import FeatureSet, Strict
from egopack.params.checks import FolderName


class NamedFeatures(FeatureSet):
    """A feature set with its name."""

    name: FolderName


class About(Strict):
    """What is known of a network besides its sizes; what is not known is empty.

    name: which training made it, single/ar for example
    features: the feature sets whose rows stand side by side in its input, in that order, on the grid of the first
    labels: the classes of each of a task's sets, in order of their ids
    decode: how predictions are made of each task's outputs; the task's defaults where nothing is said
    params: the values of all params that its training read, by their keys
    digests: SHA-256 of what it was made by and of: code, data. No commit and no date: the same input gives the same
    bytes, whenever and wherever it is trained
    scores: of each task on the validation split; None where one is not defined
    """

    name: str = ""
    features: tuple[NamedFeatures, ...] = ()
    labels: dict[str, dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    decode: dict[str, dict[str, Any]] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
    scores: dict[str, dict[str, float | None]] = Field(default_factory=dict)


class ModelConfig(About):
    """All of config.json; `network` rebuilds the network without params.yaml."""

    network: NetworkSpec


def about(name: str, features: Mapping[str, FeatureSet], labels: Mapping[str, Labels]) -> About:
    """What a training knows of its network."""
    sets = [{"name": key, **one.model_dump()} for key, one in features.items()]
    return About.model_validate({"name": name, "features": sets, "labels": dict(labels)})


def class_names(config: About, task: str, sizes: Mapping[str, int]) -> Labels:
    """The names of a task's classes; where none are known their ids."""
    known = config.labels.get(task, {})

    def names(key: str, ids: Iterable[int]) -> tuple[str, ...]:
        return known[key] if key in known else tuple(map(str, ids))

    return {key: names(key, range(size)) for key, size in sizes.items()}
