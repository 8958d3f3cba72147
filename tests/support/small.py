"""Small samples, features, tasks and networks that tests build on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from egopack.data.batch import Batch, collate
from egopack.data.grid import Grid
from egopack.data.samples import Sample
from egopack.ego4d.agreement import Twice
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.fho_lta import Action, Taxonomy
from egopack.ego4d.sources.fho_oscc_pnr import Window
from egopack.ego4d.sources.moments import MomentsClip
from egopack.ego4d.sources.videos import Footage
from egopack.model.network import Network, NetworkSpec, TaskSpec
from egopack.params import BackboneParams, FeatureSet, TaskParams
from egopack.tasks.base import Labels, SampleSource, Task, load_task
from egopack.tasks.pnr import frame_labels

WIDTH, HIDDEN, AVAILABLE = 6, 8, 200
GRID = Grid(16, 30.0)
FEATURES = {"egovlp": FeatureSet(stride=16, fps=30.0, size=WIDTH)}
TASKS = ("ar", "oscc", "lta", "pnr", "mq")
LABELS: dict[str, Labels] = {
    "ar": {"verbs": tuple("abcde"), "nouns": tuple("fghijk")},
    "oscc": {"changes": ("no", "yes")},
    "lta": {"verbs": tuple("abcde"), "nouns": tuple("fghijk")},
    "pnr": {},
    "mq": {"moments": ("cut", "peel", "wash", "dry")},
    "scenario": {"scenarios": ("Cooking", "Gardening", "Sewing")},
}


class Features:
    """Feature rows of any video: a pure function of its name."""

    def __init__(self, width: int = WIDTH) -> None:
        self.width = width

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray:
        table = np.random.default_rng(list(uid.encode())).standard_normal((AVAILABLE, self.width), dtype=np.float32)
        return table[rows]


def sizes(name: str) -> dict[str, int]:
    return {label: len(classes) for label, classes in LABELS[name].items()}


def task_params(
    name: str, *, levels: int | None = None, samples: dict[str, Any] | None = None, **model: Any
) -> TaskParams:
    """A task's params with small sizes and no dropout; `model` changes its settings."""
    settings: dict[str, Any] = (
        {"features": HIDDEN, "classifier_hidden": 7} | ({"gate_size": 5} if name == "lta" else {}) | model
    )
    if samples is None:
        samples = {"horizon": 4} if name == "lta" else {}
    levels = levels or (3 if name == "mq" else 1)
    return load_task(name).Params.model_validate(
        {"annotations": "", "levels": levels, "samples": samples, "model": settings}
    )


def backbone_params(hidden: int = HIDDEN, **changes: Any) -> BackboneParams:
    return BackboneParams.model_validate({"hidden": hidden, "dropout": 0.0, "conv": {"gate_size": 5}} | changes)


def network_of(*names: str, backbone: BackboneParams | None = None, seed: int = 0, **model: Any) -> Network:
    """A network of some tasks, initialized from `seed`."""
    torch.manual_seed(seed)
    params = {name: task_params(name, **model) for name in names}
    specs = {name: TaskSpec(params=params[name].model_dump(mode="json"), labels=sizes(name)) for name in names}
    levels = max(one.levels for one in params.values())
    return Network(NetworkSpec(input_size=WIDTH, levels=levels, backbone=backbone or backbone_params(), tasks=specs))


def task_of(name: str, *, streams: Sequence[str] = (), seed: int = 0, **model: Any) -> Task:
    """A task's head alone."""
    torch.manual_seed(seed)
    return load_task(name)(HIDDEN, task_params(name, **model), sizes(name), streams)


def samples_of(name: str, count: int = 4, seed: int = 0, horizon: int = 4) -> list[Sample]:
    """Samples of a task in videos of differing lengths, with random targets."""
    generator = np.random.default_rng(seed)
    return [_sample(name, index, generator, horizon) for index in range(count)]


def _sample(name: str, index: int, generator: np.random.Generator, horizon: int) -> Sample:
    nodes = 16 if name == "pnr" else int(generator.integers(3, 30))
    end_s = nodes * GRID.stride / GRID.fps
    parts = int(generator.integers(1, 4))
    start = generator.uniform(0, 0.6 * end_s, parts)
    segments = np.stack([start, start + generator.uniform(0.1, 0.4 * end_s, parts)], axis=1).astype(np.float32)
    more: dict[str, Any] = {"segments": segments} if name in ("ar", "oscc") else {}
    if name == "pnr":
        first = int(generator.integers(0, 1000))
        targets = {"frame_labels": frame_labels(first, first + 240, first + int(generator.integers(0, 240)))}
        more["metadata"] = {
            "window": np.array([first, first + 240]),
            "pnr": np.array([first + 100]),
            "available": np.array([AVAILABLE]),
            "stride": np.array([GRID.stride]),
            "fps": np.array([GRID.fps]),
        }
    elif name == "mq":
        targets = {"segments": segments, "classes": generator.integers(0, 4, parts)}
        more["metadata"] = {"duration": np.array([end_s]), "offset": np.array([0.0])}
    elif name == "scenario":
        targets = {"scenarios": np.eye(3, dtype=np.float32)[[index % 3]]}
    elif name == "oscc":
        targets = {"changes": generator.integers(0, 2, parts)}
        more["texts"] = {"unique_ids": tuple(f"{index}-{part}" for part in range(parts))}
    else:
        count = horizon if name == "lta" else parts
        targets = {"verbs": generator.integers(0, 5, count), "nouns": generator.integers(0, 6, count)}
        if name == "lta":
            more["metadata"] = {"future": np.stack([np.arange(count), np.arange(count) + 1.0], axis=1)}
    key = f"clip{index}#{index + 1}" if name == "lta" else f"clip{index}"
    pos = GRID.positions(nodes, 0.0 if name == "pnr" else 0.5)
    return Sample(key, f"video{index}", np.arange(nodes), pos, targets, **more)


def batch_of(samples: Sequence[Sample], *, levels: int = 1, radius_s: float = 2.0, width: int = WIDTH) -> Batch:
    features = Features(width)
    return collate(
        samples, [features.rows(one.video_uid, one.rows) for one in samples], levels=levels, radius_s=radius_s
    )


def randomize(module: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every parameter anew, so that no term is zero or the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return module


class FakeAnnotations:
    """Annotations held in memory, the same for every split."""

    def __init__(
        self,
        *,
        actions: Sequence[Action] = (),
        windows: Sequence[Window] = (),
        moments: Sequence[MomentsClip] = (),
        scenarios: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._actions, self._windows, self._moments = actions, windows, moments
        self._scenarios = scenarios or {}

    def of(self, source: str) -> FakeAnnotations:
        return self

    def found(self, source: str, split: str) -> dict[str, int]:
        return {"actions": len(self._actions), "windows": len(self._windows)}

    def twice(self, source: str, split: str, fps: float) -> list[Twice]:
        return []

    def footage(self) -> dict[str, Footage]:
        return {}

    def taxonomy(self) -> Taxonomy:
        return Taxonomy(verbs=LABELS["ar"]["verbs"], nouns=LABELS["ar"]["nouns"])

    def moment_labels(self) -> tuple[str, ...]:
        return LABELS["mq"]["moments"]

    def actions_by_clip(self, split: str, skips: Skips) -> dict[str, list[Action]]:
        clips: dict[str, list[Action]] = {}
        for action in self._actions:
            clips.setdefault(action.clip_uid, []).append(action)
        return clips

    def windows(self, split: str, skips: Skips) -> list[Window]:
        return list(self._windows)

    def windows_by_clip(self, split: str, skips: Skips) -> dict[str, list[Window]]:
        clips: dict[str, list[Window]] = {}
        for window in self._windows:
            clips.setdefault(window.clip_id, []).append(window)
        return clips

    def scenarios(self) -> dict[str, tuple[str, ...]]:
        return self._scenarios

    def moments(self, split: str, skips: Skips) -> list[MomentsClip]:
        return list(self._moments)


def source_of(annotations: FakeAnnotations, **rows: int) -> SampleSource:
    """A source over the videos of these many rows."""
    return SampleSource(cast(Annotations, annotations), rows, GRID, Skips())


def action(index: int, start: int, end: int, verb: int | None = 0, noun: int | None = 0, **changes: Any) -> Action:
    """An action of clip c in video v, which is the frames 100 ... 1000; frames of the video."""
    values = {"video_uid": "v", "clip_uid": "c", "clip_start": 100, "clip_end": 1000} | changes
    return Action(start=start, end=end, action_idx=index, verb=verb, noun=noun, **values)
