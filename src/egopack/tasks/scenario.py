"""Scenario recognition: what a video is about (Cooking, Gardening ...), of which there may be several at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from egopack.data.batch import Batch
from egopack.data.footage import Footage
from egopack.data.samples import Sample
from egopack.ego4d.annotations import Annotations
from egopack.labels import Labels
from egopack.nn.fusion import Streams, fuse
from egopack.nn.heads import Classifier, video_mean
from egopack.params import ModelParams, NoParams, TaskParams
from egopack.tasks.base import Outputs, SampleSource, Task

if TYPE_CHECKING:
    import pandas as pd


class ScenarioParams(TaskParams):
    samples: NoParams
    model: ModelParams


class ScenarioRecognition(Task):
    """Mean over a clip's nodes, then a classifier with one sigmoid a scenario.

    One sample is one moments clip, with the scenarios of its video. Outputs: `logits` [B, scenarios].
    """

    Params = ScenarioParams
    sources: ClassVar = ("scenarios",)
    headline: ClassVar = {"map": "max"}

    def __init__(self, hidden: int, params: TaskParams, labels: Mapping[str, int], streams: Sequence[str] = ()) -> None:
        super().__init__(hidden, params, labels, streams)
        inner, dropout = self.model.classifier_hidden, self.model.dropout
        self.classifier = Classifier(self.model.features, labels["scenarios"], hidden=inner, dropout=dropout)

    @classmethod
    def labels(cls, annotations: Annotations) -> Labels:
        return {"scenarios": tuple(sorted({name for names in annotations.scenarios().values() for name in names}))}

    @classmethod
    def samples(cls, source: SampleSource, split: str, params: TaskParams) -> list[Sample]:
        scenarios, names = source.annotations.scenarios(), cls.labels(source.annotations)["scenarios"]
        samples = []
        for clip in source.annotations.moments(split, source.skips):
            if not source.usable(clip.video_uid, clip.clip_uid):
                continue
            rows = source.grid.rows(clip.start, clip.end, source.rows[clip.video_uid])
            known = scenarios.get(clip.video_uid, ())
            if not len(rows) or not known:
                reason = "clip of a video without a scenario" if len(rows) else "clip outside of the video's features"
                source.skips.add(reason, clip.clip_uid)
                continue
            targets = {"scenarios": np.isin(names, known).astype(np.float32)[None]}
            samples.append(Sample(clip.clip_uid, clip.video_uid, rows, source.grid.positions(len(rows)), targets))
        return samples

    @classmethod
    def from_footage(cls, footage: Footage, params: TaskParams) -> list[Sample]:
        return footage.clips({})

    def align(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        return video_mean(features[0], batch.pyramid[0].videos)

    def forward(self, levels: Sequence[Tensor], batch: Batch, streams: Streams | None = None) -> Outputs:
        return {"logits": self.classifier(fuse(self.align([self.neck(levels[0])], batch), streams))}

    def readout(self, outputs: Outputs, batch: Batch) -> Outputs:
        return {"probability": torch.sigmoid(outputs["logits"].float())}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        truth = batch.targets["scenarios"]
        return {"scenario": F.binary_cross_entropy_with_logits(outputs["logits"], truth) * batch.share(truth)}

    def decode(
        self, outputs: Outputs, batch: Batch, samples: Sequence[Sample], decode: Any, generator: np.random.Generator
    ) -> pd.DataFrame:
        return score_table(samples, torch.sigmoid(outputs["logits"].float()).cpu().numpy())

    @classmethod
    def score(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> dict[str, float]:
        from torchmetrics.functional.classification import multilabel_average_precision

        truth = np.concatenate([sample.targets["scenarios"] for sample in samples])
        scores = np.stack(predictions["score"].to_list()).astype(np.float32)
        seen = truth.any(axis=0)  # a scenario that no clip has takes no part
        given, right = torch.from_numpy(scores[:, seen]), torch.from_numpy(truth[:, seen]).long()
        found = multilabel_average_precision(given, right, int(seen.sum()))
        return {"map": 100 * float(found), "top1": 100 * float(truth[range(len(truth)), scores.argmax(axis=1)].mean())}

    @classmethod
    def named(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> pd.DataFrame:
        start, end = np.repeat([sample.metadata["at"] for sample in samples], len(labels["scenarios"]), axis=0).T
        table = predictions[["score"]].explode("score", ignore_index=True).astype(np.float64)
        return table.assign(start=start, end=end, label=np.tile(labels["scenarios"], len(samples)))

    @classmethod
    def chance(
        cls, train: Sequence[Sample], samples: Sequence[Sample], labels: Labels, generator: np.random.Generator
    ) -> pd.DataFrame:
        frequency = np.concatenate([sample.targets["scenarios"] for sample in train]).mean(axis=0)
        return score_table(samples, np.tile(frequency, (len(samples), 1)))


def score_table(samples: Sequence[Sample], score: np.ndarray) -> pd.DataFrame:
    """One row a clip: `key`, `score` (a probability for each scenario)."""
    import pandas as pd

    return pd.DataFrame({"key": [sample.key for sample in samples], "score": score.tolist()})
