"""Point of no return (PNR): the frame of a window at which an object's state begins to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from egopack.data.batch import Batch
from egopack.data.footage import Footage
from egopack.data.grid import Grid
from egopack.data.samples import Sample
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.challenges import PNR
from egopack.ego4d.layout import TEST
from egopack.ego4d.sources.fho_oscc_pnr import Window
from egopack.ego4d.submissions import pnr_submission
from egopack.labels import Labels
from egopack.nn.convolutions import position_encoding
from egopack.nn.fusion import Fusion, Streams
from egopack.nn.heads import Readout
from egopack.params import FusedModelParams, Seconds, Strict, TaskParams
from egopack.tasks.base import Outputs, SampleSource, Task

if TYPE_CHECKING:
    import pandas as pd

FRAMES = 16  # candidates of a window, as in the challenge
FUSION_SCALE = 0.01
CONFIDENT_LOGIT, MIDDLE = 0.7, 7  # the published rule for the key frame


class PnrSamples(Strict):
    """Training crops each window at random."""

    shortest_s: Seconds = Field(5.0, description="shortest crop, in seconds")
    longest_s: Seconds = Field(8.0, description="longest crop, in seconds")

    @model_validator(mode="after")
    def _ordered(self) -> PnrSamples:
        if self.shortest_s > self.longest_s:
            raise ValueError(f"shortest_s {self.shortest_s} exceeds longest_s {self.longest_s}")
        return self


class PnrParams(TaskParams):
    samples: PnrSamples
    model: FusedModelParams


class PointOfNoReturn(Task):
    """Sinusoidal encoding of the frame index on the backbone output, then a linear classifier per frame.

    One sample is one window with a state change, 16 nodes. Outputs: `logits` [16 B, 1].
    """

    Params = PnrParams
    sources: ClassVar = ("fho_oscc-pnr", "windows")
    headline: ClassVar = {"error_s": "min"}
    challenge: ClassVar = PNR
    model: FusedModelParams

    def __init__(self, hidden: int, params: TaskParams, labels: Mapping[str, int], streams: Sequence[str] = ()) -> None:
        super().__init__(hidden, params, labels, streams)
        self.classifier = Readout(self.model.features, 1)

        def heads() -> dict[str, nn.Module]:
            return {"classifier": Readout(self.model.features, 1)}

        self.stream = Fusion(self.model.fusion, streams, heads, FUSION_SCALE)

    @classmethod
    def labels(cls, annotations: Annotations) -> Labels:
        return {}

    @classmethod
    def samples(cls, source: SampleSource, split: str, params: TaskParams) -> list[Sample]:
        samples = []
        for window in source.annotations.windows(split, source.skips):
            if split != TEST:
                if not window.state_change:
                    source.skips.add("window without a state change", window.unique_id)  # another task's sample
                    continue
                if window.pnr is None:
                    source.skips.add("state change without a point of no return", window.unique_id)
                    continue
            if not source.usable(window.video_uid, window.unique_id, split):
                continue
            rows = source.rows_within(
                window.video_uid,
                (window.start, window.end),
                split,
                "window outside of the video's features",
                window.unique_id,
                "window that goes on where the features end",
            )
            if rows is not None:
                samples.append(whole_window(window, rows, source.grid, source.rows.get(window.video_uid, 0)))
        return samples

    @classmethod
    def from_footage(cls, footage: Footage, params: TaskParams) -> list[Sample]:
        samples = []
        for start_s, end_s in footage.windows():
            start, end = (round(seconds * footage.grid.fps) for seconds in (start_s, end_s))
            window = Window(footage.video, footage.video, footage.video, start, end, None, None)
            samples.append(whole_window(window, footage.rows(start_s, end_s), footage.grid, footage.count))
        return samples

    @classmethod
    def augment(cls, sample: Sample, params: TaskParams, generator: np.random.Generator) -> Sample:
        crop: PnrSamples = params.samples
        known = sample.metadata
        (start, end), pnr, fps = known["window"], int(known["pnr"][0]), float(known["fps"][0])
        length = generator.uniform(crop.shortest_s, crop.longest_s)
        first = start / fps + generator.uniform(0, crop.longest_s - length)
        new_start, new_end = int(first * fps), int(min(first + length, end / fps) * fps)
        window = (int(start) if pnr < new_start else new_start, int(end) if pnr > new_end else new_end)
        rows = Grid(int(known["stride"][0]), fps).rows(*window, int(known["available"][0]))
        if not len(rows):
            return sample
        rows = spread(rows)
        targets = {"frame_labels": frame_labels(*window, pnr)}
        return replace(sample, rows=rows, targets=targets, metadata=known | {"window": np.array(window)})

    def align(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        return features[0]

    def forward(self, levels: Sequence[Tensor], batch: Batch, streams: Streams | None = None) -> Outputs:
        frame = torch.arange(FRAMES, device=levels[0].device).repeat(len(batch))
        encoded = levels[0] + position_encoding(frame, levels[0].shape[1])
        features = self.stream.fuse_features(self.align([self.neck(encoded)], batch), streams)
        return {"logits": self.stream.fuse_logits("classifier", self.classifier(features), streams)}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        truth = batch.targets["frame_labels"]
        return {"frame": F.binary_cross_entropy_with_logits(outputs["logits"][:, 0], truth) * batch.share(truth)}

    def readout(self, outputs: Outputs, batch: Batch) -> Outputs:
        return {"probability": torch.sigmoid(outputs["logits"].float())}

    def decode(
        self, outputs: Outputs, batch: Batch, samples: Sequence[Sample], decode: Any, generator: np.random.Generator
    ) -> pd.DataFrame:
        logits = outputs["logits"].float().reshape(len(samples), FRAMES).cpu().numpy()
        return frame_table(samples, logits)

    @classmethod
    def score(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> dict[str, float]:
        pnr = np.array([sample.metadata["pnr"][0] for sample in samples])
        start = np.array([sample.metadata["window"][0] for sample in samples])
        fps = np.array([sample.metadata["fps"][0] for sample in samples])
        official = np.abs(predictions["frame"].to_numpy() - (pnr - start)) / fps
        published = np.abs(predictions["candidate"].to_numpy() - pnr) / fps
        return {"error_s": float(official.mean()), "error_published_s": float(published.mean())}

    @classmethod
    def named(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> pd.DataFrame:
        window = np.stack([sample.metadata["window"] / sample.metadata["fps"] for sample in samples])
        fps = np.array([sample.metadata["fps"][0] for sample in samples])
        at = window[:, 0] + predictions["frame"].to_numpy() / fps
        score = 1 / (1 + np.exp(-np.stack(predictions["logits"].to_list()).max(axis=1)))
        table = predictions[[]].assign(start=at, end=at, label="point of no return", score=score)
        return table.assign(window_start=window[:, 0], window_end=window[:, 1])

    @classmethod
    def chance(
        cls, train: Sequence[Sample], samples: Sequence[Sample], labels: Labels, generator: np.random.Generator
    ) -> pd.DataFrame:
        logits = np.zeros((len(samples), FRAMES), dtype=np.float32)
        logits[:, FRAMES // 2] = 1.0  # the center key frame
        return frame_table(samples, logits)

    @classmethod
    def submission(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> Any:
        return pnr_submission(list(zip(predictions["key"], predictions["frame"].astype(float), strict=True)))


def spread(rows: np.ndarray) -> np.ndarray:
    """16 rows spread evenly from the first to the last of those of a window; none of none."""
    return np.linspace(rows[0], rows[-1], FRAMES).astype(np.int64) if len(rows) else rows


def candidate_frames(start: np.ndarray | int, end: np.ndarray | int) -> np.ndarray:
    """The 16 candidate frames of windows [start, end): [..., 16]."""
    return np.linspace(start, end, FRAMES, endpoint=False, axis=-1).astype(np.int64)


def frame_labels(start: int, end: int, pnr: int) -> np.ndarray:
    """1 for the candidate frame that is the positive, 0 for the others: float32 [16]; no positive where `pnr` is -1."""
    labels = np.zeros(FRAMES, dtype=np.float32)
    if pnr >= 0:
        labels[np.abs(candidate_frames(start, end) - pnr).argmin()] = 1
    return labels


def whole_window(window: Window, rows: np.ndarray, grid: Grid, available: int) -> Sample:
    """The sample of a whole window, which has these of the `available` rows of its video."""
    pnr = -1 if window.pnr is None else window.pnr
    metadata = {
        "window": np.array([window.start, window.end], dtype=np.int64),
        "pnr": np.array([pnr], dtype=np.int64),
        "available": np.array([available], dtype=np.int64),
        "stride": np.array([grid.stride], dtype=np.int64),
        "fps": np.array([grid.fps], dtype=np.float64),
    }
    rows, targets = spread(rows), {"frame_labels": frame_labels(window.start, window.end, pnr)}
    pos = grid.positions(len(rows), offset=0.0)
    return Sample(window.unique_id, window.video_uid, rows, pos, targets, metadata=metadata)


def keyframe_index(logits: np.ndarray) -> np.ndarray:
    """The published choice among logits [n, 16]: of those above 0.7 the nearest to index 7, else the highest."""
    distance = np.where(logits > CONFIDENT_LOGIT, np.abs(np.arange(FRAMES) - MIDDLE), FRAMES)
    return np.where((logits > CONFIDENT_LOGIT).any(axis=1), distance.argmin(axis=1), logits.argmax(axis=1))


def frame_table(samples: Sequence[Sample], logits: np.ndarray) -> pd.DataFrame:
    """One row a window: `key`, `frame` (official: frames from the window's start, not rounded), `candidate`
    (published: a video frame).
    """
    import pandas as pd

    window = np.stack([sample.metadata["window"] for sample in samples])
    length = window[:, 1] - window[:, 0]
    candidates = candidate_frames(window[:, 0], window[:, 1])
    return pd.DataFrame(
        {
            "key": [sample.key for sample in samples],
            "frame": length / FRAMES * logits.argmax(axis=1),
            "candidate": candidates[np.arange(len(samples)), keyframe_index(logits)],
            "logits": logits.tolist(),
        }
    )
