"""Moment queries (MQ): every segment of a clip in which a moment of some class takes place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import softplus

from egopack.data.batch import Batch
from egopack.data.footage import Footage
from egopack.data.samples import Sample
from egopack.detection.average_precision import (
    GroundTruth,
    Predictions,
    average_precision,
    recall_class_mean,
    recall_pooled,
)
from egopack.detection.level_nodes import LevelNodes, nodes_of_videos, segments_of_nodes
from egopack.detection.nms import suppress
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.challenges import MQ
from egopack.ego4d.sources.moments import MomentsClip
from egopack.ego4d.submissions import mq_submission
from egopack.errors import UserError
from egopack.labels import Labels
from egopack.nn.fusion import Streams, fuse
from egopack.nn.heads import Classifier, NormedLinear, Readout, level_scales, video_mean
from egopack.nn.losses import diou_1d, sigmoid_focal
from egopack.nn.targets import assign_targets
from egopack.params import Count, ModelParams, NoParams, Positive, Strict, TaskParams
from egopack.tasks.base import Outputs, SampleSource, Task

if TYPE_CHECKING:
    import pandas as pd

TIOU = (0.1, 0.2, 0.3, 0.4, 0.5)
RECALL_TIOU = (0.3, 0.5, 0.7)
RECALL_AT = (1, 5)
ALIVE = 0.01  # of the nodes; healthy heads have offsets at all but a few


class MqModel(ModelParams):
    """Neck and head, and the running number of positive nodes that the loss is divided by."""

    prior: float = Field(
        0.01, gt=0, lt=1, description="probability of a class from which the bias of the classifier starts"
    )
    normalizer: Positive = Field(100.0, description="what the running number of positive nodes starts from")
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the running number that a batch leaves as it is")
    fusion: Literal["mean", "features"] = Field(
        "mean",
        description="how a pack helps: by the mean of MQ's features and of the streams past MQ's own neck, as "
        "published, or by the features plus the mean of the streams, as in ar, oscc and lta",
    )
    offsets: Literal["relu", "softplus"] = Field(
        "relu",
        description="what keeps offsets from being negative; relu, as published, may be 0 everywhere and stay so",
    )


class MqDecode(Strict):
    """From scores on nodes to segments (section 6 of the method)."""

    min_probability: float = Field(
        0.001, ge=0, lt=1, description="probability above which a node and a class become a segment"
    )
    top_per_level: Count = Field(5000, description="most segments that a level of a clip gives, the likeliest")
    min_duration_s: float = Field(0.05, ge=0, description="length above which a segment is kept, in seconds")
    nms: Literal["gaussian", "hard"] = Field(
        "gaussian", description="what happens to segments that overlap a better one: they lose score, or they go"
    )
    sigma: Positive = Field(
        2.0, description="of gaussian: score is multiplied by exp(-IoU^2 / sigma), so a larger one forgives more"
    )
    iou_threshold: float = Field(0.1, gt=0, le=1, description="of hard: IoU from which on a segment goes")
    min_score: float = Field(0.001, ge=0, lt=1, description="score below which a segment goes, after its losses")
    max_segments: Count = Field(2000, description="most segments of a clip, over all classes")
    per_class: bool = Field(True, description="whether only segments of one class meet")
    voting_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="IoU from which on a segment votes on where a better one begins and ends; needs per_class false",
    )

    @model_validator(mode="after")
    def _voting_fits(self) -> MqDecode:
        if self.voting_threshold is not None and self.per_class:
            raise ValueError(
                f"voting_threshold {self.voting_threshold} lets segments of all classes vote; set per_class to false, "
                "or leave voting_threshold empty"
            )
        return self


class MqParams(TaskParams):
    samples: NoParams
    model: MqModel


class MomentQueries(Task):
    """Classes and segment boundaries at every node of every level.

    Outputs over the N nodes of all levels: `class_logits` [N, classes], `offsets` [N, 2] (to the left and right, in
    units of 2^level seconds).
    """

    Params = MqParams
    Decode = MqDecode
    sources: ClassVar = ("moments", "verbs", "nouns")
    headline: ClassVar = {"map": "max"}
    challenge: ClassVar = MQ
    params: MqParams
    model: MqModel
    normalizer: Tensor
    reached: Tensor  # share of the nodes of the last training batch whose offsets are not 0

    def __init__(self, hidden: int, params: TaskParams, labels: Mapping[str, int], streams: Sequence[str] = ()) -> None:
        super().__init__(hidden, params, labels, streams)
        size, model = self.model.features, self.model
        if streams and size != hidden:
            raise UserError(
                f"tasks.mq.model.features {size}: must be the backbone's width {hidden}, "
                "since streams pass MQ's own neck"
            )
        self.classifier = Classifier(
            2 * size, labels["moments"], hidden=model.classifier_hidden, dropout=model.dropout, prior=model.prior
        )
        self.regressor = nn.ModuleDict({"0": NormedLinear(size, size, bias=False), "out": Readout(size, 2)})
        self.scales = nn.Parameter(torch.ones(params.levels))
        self.register_buffer("normalizer", torch.tensor(float(model.normalizer)))
        self.register_buffer("reached", torch.ones(()), persistent=False)

    @classmethod
    def labels(cls, annotations: Annotations) -> Labels:
        return {"moments": annotations.moment_labels()}

    @classmethod
    def samples(cls, source: SampleSource, split: str, params: TaskParams) -> list[Sample]:
        ids = {label: index for index, label in enumerate(cls.labels(source.annotations)["moments"])}
        samples = []
        for clip in source.annotations.moments(split, source.skips):
            if not source.usable(clip.video_uid, clip.clip_uid, split):
                continue
            reason = "clip outside of the video's features"
            rows = source.rows_within(clip.video_uid, (clip.start, clip.end), split, reason, clip.clip_uid)
            if rows is None:
                continue
            segments, classes = primary_segments(clip, ids, source)
            targets = {"segments": segments, "classes": classes}
            metadata = {
                "duration": source.grid.seconds(np.array([clip.end]), clip.start).astype(np.float64),
                "offset": source.grid.seconds(np.array([clip.start]), clip.start).astype(np.float64),
            }
            pos = source.grid.positions(len(rows))
            names = [f"{clip.clip_uid}: {start:.2f} ... {end:.2f} s" for start, end in segments]
            source.count_rowless(pos, segments, "moment that no feature row lies in", names)
            samples.append(Sample(clip.clip_uid, clip.video_uid, rows, pos, targets, metadata=metadata))
        return samples

    @classmethod
    def from_footage(cls, footage: Footage, params: TaskParams) -> list[Sample]:
        return footage.clips({"segments": np.empty((0, 2), np.float32), "classes": np.empty(0, np.int64)})

    def align(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        return torch.cat(list(features))

    def forward(self, levels: Sequence[Tensor], batch: Batch, streams: Streams | None = None) -> Outputs:
        features = self.neck(self.align(levels, batch))
        if streams and self.model.fusion == "mean":
            features = (features + sum(self.neck(stream) for stream in streams.values())) / (1 + len(streams))
        else:
            features = fuse(features, streams)
        nodes = batch.nodes()
        context = video_mean(features, nodes.videos)
        scale = level_scales(self.scales, batch.pyramid, nodes.levels)
        bound = torch.relu if self.model.offsets == "relu" else softplus
        offsets = bound(self.regressor["out"](self.regressor["0"](features))) * scale
        return {"class_logits": self.classifier.with_context(features, context, nodes.videos), "offsets": offsets}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        logits, offsets = outputs["class_logits"].float(), outputs["offsets"].float()
        truth = batch.targets
        target = assign_targets(
            batch.pyramid, batch.nodes(), truth["segments"], truth["classes"], batch.places("classes"), logits.shape[1]
        )
        positives = batch.total(target.positive.sum().to(self.normalizer.dtype)).clamp(min=1)
        if self.training:
            self.reached = offsets.detach().amax(1).count_nonzero() / len(offsets)
            self.normalizer.mul_(self.model.momentum).add_(positives, alpha=1 - self.model.momentum)
        normalizer = self.normalizer.clone() if self.training else positives
        regression = torch.where(target.positive, diou_1d(offsets, target.offsets), 0.0)
        return {
            "classification": sigmoid_focal(logits, target.classes).sum() / normalizer,
            "regression": regression.sum() / normalizer,
        }

    def trouble(self) -> str:
        if self.reached >= ALIVE:
            return ""
        return (
            f"offsets are 0 at {1 - float(self.reached):.1%} of the nodes, where no gradient reaches them; if this "
            "stays, try another seed, model.fusion: features or model.offsets: softplus"
        )

    def readout(self, outputs: Outputs, batch: Batch) -> Outputs:
        nodes, (left, right) = batch.nodes(), outputs["offsets"].float().unbind(1)
        segments = torch.stack([nodes.pos - left * nodes.extent, nodes.pos + right * nodes.extent], dim=1)
        return {"probability": torch.sigmoid(outputs["class_logits"].float()), "segments": segments}

    def decode(
        self, outputs: Outputs, batch: Batch, samples: Sequence[Sample], decode: Any, generator: np.random.Generator
    ) -> pd.DataFrame:
        import pandas as pd

        probability = torch.sigmoid(outputs["class_logits"].float()).cpu()
        offsets = outputs["offsets"].float().cpu()
        nodes = nodes_of_videos(probability, offsets, batch)
        durations = [float(sample.metadata["duration"][0]) for sample in samples]
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            found = list(threads.map(partial(decode_segments, params=decode), nodes, durations))
        segments, scores, labels = (torch.cat(column).numpy() for column in zip(*found, strict=True))
        keys = np.repeat([sample.key for sample in samples], [len(scores) for _, scores, _ in found])
        columns = {"key": keys, "label": labels, "score": scores, "start": segments[:, 0], "end": segments[:, 1]}
        return pd.DataFrame(columns)

    @classmethod
    def score(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> dict[str, float]:
        truth, detected = ground_truth(samples), as_detected(predictions, samples)
        maps = average_precision(truth, detected, TIOU).per_tiou
        scores = {"map": 100 * float(maps.mean())}
        scores |= {f"map_at_{tiou:g}": 100 * float(value) for tiou, value in zip(TIOU, maps, strict=True)}
        official = recall_pooled(truth, detected, RECALL_TIOU, RECALL_AT)
        published = recall_class_mean(truth, detected, TIOU, RECALL_AT)
        for row, tiou in enumerate(RECALL_TIOU):
            scores |= {
                f"recall_{k}x_at_{tiou:g}": 100 * float(official[row, column]) for column, k in enumerate(RECALL_AT)
            }
        for row, tiou in enumerate(TIOU):
            scores |= {
                f"recall_class_mean_{k}x_at_{tiou:g}": 100 * float(published[row, column])
                for column, k in enumerate(RECALL_AT)
            }
        return scores

    @classmethod
    def named(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> pd.DataFrame:
        """Of clips that overlap, each tells the segments whose middle lies in its own part."""
        where = {sample.key: sample.metadata for sample in samples}
        at = np.array([where[key]["at"][0] for key in predictions["key"]])
        core = np.array([where[key]["core"] for key in predictions["key"]]).reshape(-1, 2)
        start, end = at + predictions["start"], at + predictions["end"]
        label = np.array(labels["moments"], dtype=object)[predictions["label"].to_numpy()]
        own = ((start + end) / 2 >= core[:, 0]) & ((start + end) / 2 < core[:, 1])
        return predictions[["score"]].assign(start=start, end=end, label=label)[own.to_numpy()]

    @classmethod
    def chance(
        cls, train: Sequence[Sample], samples: Sequence[Sample], labels: Labels, generator: np.random.Generator
    ) -> pd.DataFrame:
        import pandas as pd

        lengths = np.concatenate([np.diff(sample.targets["segments"], axis=1)[:, 0] for sample in train])
        frequency = np.bincount(
            np.concatenate([sample.targets["classes"] for sample in train]), minlength=len(labels["moments"])
        )
        count = 200
        tables = []
        for sample in samples:
            duration = float(sample.metadata["duration"][0])
            start = generator.uniform(0, duration, count)
            end = np.minimum(start + generator.choice(lengths, count), duration)
            label = generator.choice(len(frequency), count, p=frequency / frequency.sum())
            columns = {"label": label, "score": generator.random(count), "start": start, "end": end}
            tables.append(pd.DataFrame({"key": sample.key} | columns))
        return pd.concat(tables, ignore_index=True)

    @classmethod
    def submission(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> Any:
        offset = {sample.key: float(sample.metadata["offset"][0]) for sample in samples}
        found: dict[str, list[tuple[str, float, tuple[float, float]]]] = {sample.key: [] for sample in samples}
        for row in predictions.to_dict("records"):
            start, end = (max(row[edge] - offset[row["key"]], 0.0) for edge in ("start", "end"))
            if end > start:
                found[row["key"]].append((labels["moments"][row["label"]], row["score"], (start, end)))
        return mq_submission(found)


def primary_segments(clip: MomentsClip, ids: Mapping[str, int], source: SampleSource) -> tuple[np.ndarray, np.ndarray]:
    """Primary segments [M, 2] (seconds) and classes [M] of a clip, exact duplicates removed, in file order."""
    frames = dict.fromkeys((moment.start, moment.end, moment.label) for moment in clip.moments if moment.primary)
    kept = []
    for start, end, label in frames:
        if label in ids:
            kept.append((start, end, ids[label]))
        else:
            source.skips.add("unknown moment class", f"{clip.clip_uid}: {label}")
    table = np.array(kept, dtype=np.int64).reshape(-1, 3)
    return source.grid.seconds(table[:, :2], clip.start).astype(np.float32), table[:, 2].copy()


def decode_segments(nodes: Sequence[LevelNodes], duration: float, params: MqDecode) -> tuple[Tensor, Tensor, Tensor]:
    """Segments of one video from its nodes, level by level.

    Returns segments [M, 2] in seconds, scores [M] and labels [M], best first.
    """
    candidates = segments_of_nodes(nodes, params.min_probability, params.top_per_level, params.min_duration_s)
    found = suppress(
        *candidates,
        method=params.nms,
        iou_threshold=params.iou_threshold,
        sigma=params.sigma,
        min_score=params.min_score,
        max_segments=params.max_segments,
        per_class=params.per_class,
        voting_threshold=params.voting_threshold,
    )
    return found.segments.clamp(0.0, duration), found.scores, found.labels


def ground_truth(samples: Sequence[Sample]) -> GroundTruth:
    """All annotated segments of the samples; the video id is the sample's index."""
    return GroundTruth(
        video=np.repeat(np.arange(len(samples)), [len(sample.targets["classes"]) for sample in samples]),
        segments=np.concatenate([sample.targets["segments"] for sample in samples]).astype(np.float64),
        labels=np.concatenate([sample.targets["classes"] for sample in samples]),
    )


def as_detected(predictions: pd.DataFrame, samples: Sequence[Sample]) -> Predictions:
    """The table of predictions as columns of arrays."""
    index = {sample.key: position for position, sample in enumerate(samples)}
    return Predictions(
        video=np.array([index[key] for key in predictions["key"]], dtype=np.int64),
        segments=predictions[["start", "end"]].to_numpy(np.float64),
        labels=predictions["label"].to_numpy(np.int64),
        scores=predictions["score"].to_numpy(np.float64),
    )
