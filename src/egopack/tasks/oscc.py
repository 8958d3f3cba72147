"""Object state change classification (OSCC): whether an object changes its state within a window."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from egopack.data.batch import Batch
from egopack.data.footage import Footage
from egopack.data.samples import Sample, pooled_seconds
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.challenges import OSCC
from egopack.ego4d.layout import TEST
from egopack.ego4d.submissions import oscc_submission
from egopack.labels import UNLABELLED, Labels
from egopack.nn.fusion import Fusion, Streams
from egopack.nn.heads import Classifier, segment_mean
from egopack.nn.losses import cross_entropy
from egopack.params import FusedModelParams, NoParams, TaskParams
from egopack.tasks.base import Outputs, SampleSource, Task

if TYPE_CHECKING:
    import pandas as pd

CLASSES = ("no state change", "state change")


class OsccParams(TaskParams):
    samples: NoParams
    model: FusedModelParams


class ObjectStateChange(Task):
    """Segment pooling, then a two-way classifier. One sample is all windows of a `clip_id`. Outputs: `logits` [W, 2]
    over W windows.
    """

    Params = OsccParams
    sources: ClassVar = ("fho_oscc-pnr", "windows")
    headline: ClassVar = {"accuracy": "max"}
    challenge: ClassVar = OSCC
    model: FusedModelParams

    def __init__(self, hidden: int, params: TaskParams, labels: Mapping[str, int], streams: Sequence[str] = ()) -> None:
        super().__init__(hidden, params, labels, streams)
        size, inner, dropout = self.model.features, self.model.classifier_hidden, self.model.dropout
        self.classifier = Classifier(size, len(CLASSES), hidden=inner, dropout=dropout)

        def heads() -> dict[str, nn.Module]:
            return {"classifier": Classifier(size, len(CLASSES), hidden=inner, dropout=dropout, last_bias=False)}

        self.stream = Fusion(self.model.fusion, streams, heads)

    @classmethod
    def labels(cls, annotations: Annotations) -> Labels:
        return {"changes": CLASSES}

    @classmethod
    def samples(cls, source: SampleSource, split: str, params: TaskParams) -> list[Sample]:
        samples = []
        by_clip = source.annotations.windows_by_clip(split, source.skips)
        for clip_id, windows in by_clip.items():
            if split != TEST:
                known = [window for window in windows if window.state_change is not None]
                for window in windows:
                    if window.state_change is None:
                        source.skips.add("state change unknown", window.unique_id)
                windows = known
            if not windows or not source.usable(windows[0].video_uid, clip_id, split):
                continue
            windows = sorted(windows, key=lambda window: window.start)
            start, end = windows[0].start, max(window.end for window in windows)
            reason = "windows outside of the video's features"
            rows = source.rows_within(windows[0].video_uid, (start, end), split, reason, clip_id)
            if rows is None:
                continue
            frames = np.array([[window.start, window.end] for window in windows])
            segments = source.grid.seconds(frames, start).astype(np.float32)
            pos, unique_ids = source.grid.positions(len(rows)), tuple(window.unique_id for window in windows)
            source.count_rowless(pos, segments, "window that no feature row lies in", unique_ids)
            states = [UNLABELLED if window.state_change is None else int(window.state_change) for window in windows]
            samples.append(
                Sample(
                    clip_id,
                    windows[0].video_uid,
                    rows,
                    pos,
                    targets={"changes": np.array(states)},
                    segments=segments,
                    texts={"unique_ids": unique_ids},
                )
            )
        return samples

    @classmethod
    def from_footage(cls, footage: Footage, params: TaskParams) -> list[Sample]:
        samples = []
        for windows in footage.parts():
            unknown, names = np.full(len(windows), UNLABELLED), tuple(map(str, range(len(windows))))
            samples.append(footage.pooled(windows, {"changes": unknown}, texts={"unique_ids": names}))
        return samples

    def align(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        assert batch.segment_nodes is not None, "an OSCC batch has segments"
        return segment_mean(features[0], batch.segment_nodes)

    def forward(self, levels: Sequence[Tensor], batch: Batch, streams: Streams | None = None) -> Outputs:
        pooled = self.stream.fuse_features(self.align([self.neck(levels[0])], batch), streams)
        return {"features": pooled, "logits": self.stream.fuse_logits("classifier", self.classifier(pooled), streams)}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        changes = batch.targets["changes"]
        return {"change": cross_entropy(outputs["logits"], changes) * batch.share(changes)}

    def decode(
        self, outputs: Outputs, batch: Batch, samples: Sequence[Sample], decode: Any, generator: np.random.Generator
    ) -> pd.DataFrame:
        return window_table(samples, torch.softmax(outputs["logits"].float(), dim=1)[:, 1].cpu().numpy())

    @classmethod
    def score(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> dict[str, float]:
        truth = np.concatenate([sample.targets["changes"] for sample in samples])
        labelled = truth != UNLABELLED
        if not labelled.any():
            return {"accuracy": math.nan}
        predicted = predictions["probability"].to_numpy()[labelled] > 0.5
        return {"accuracy": 100 * float((predicted == truth[labelled]).mean())}

    @classmethod
    def named(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> pd.DataFrame:
        probability = predictions["probability"].to_numpy()
        label = np.array(labels["changes"])[(probability > 0.5).astype(int)]
        score = np.maximum(probability, 1 - probability)
        return predictions[[]].assign(**pooled_seconds(samples), label=label, score=score)

    @classmethod
    def chance(
        cls, train: Sequence[Sample], samples: Sequence[Sample], labels: Labels, generator: np.random.Generator
    ) -> pd.DataFrame:
        seen = np.concatenate([sample.targets["changes"] for sample in train])
        count = sum(len(sample.targets["changes"]) for sample in samples)
        return window_table(samples, np.full(count, (seen[seen >= 0] == 1).mean(), dtype=np.float32))

    @classmethod
    def submission(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> Any:
        return oscc_submission(
            list(zip(predictions["unique_id"], (predictions["probability"] > 0.5).to_list(), strict=True))
        )


def window_table(samples: Sequence[Sample], probability: np.ndarray) -> pd.DataFrame:
    """One row a window: `key`, `unique_id`, `probability` of a state change."""
    import pandas as pd

    counts = [len(sample.targets["changes"]) for sample in samples]
    return pd.DataFrame(
        {
            "key": np.repeat([sample.key for sample in samples], counts),
            "unique_id": [unique_id for sample in samples for unique_id in sample.texts["unique_ids"]],
            "probability": probability,
        }
    )
