"""Action recognition (AR): the verb and the noun of every annotated segment of a clip."""

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
from egopack.labels import UNLABELLED, Labels
from egopack.nn.fusion import Fusion, Streams
from egopack.nn.heads import Classifier, segment_mean
from egopack.nn.losses import cross_entropy
from egopack.params import FusedModelParams, NoParams, TaskParams
from egopack.tasks.base import Outputs, SampleSource, Task

if TYPE_CHECKING:
    import pandas as pd

TOP = 5


class ArParams(TaskParams):
    samples: NoParams
    model: FusedModelParams


class ActionRecognition(Task):
    """Segment pooling, then a verb and a noun classifier.

    One sample is one LTA clip with all its actions. Outputs: `verb_logits` [S, verbs], `noun_logits` [S, nouns] over
    S segments.
    """

    Params = ArParams
    sources: ClassVar = ("fho_lta", "actions")
    headline: ClassVar = {"verb_top1": "max", "noun_top1": "max"}
    model: FusedModelParams

    def __init__(self, hidden: int, params: TaskParams, labels: Mapping[str, int], streams: Sequence[str] = ()) -> None:
        super().__init__(hidden, params, labels, streams)
        size, inner, dropout = self.model.features, self.model.classifier_hidden, self.model.dropout
        self.verb = Classifier(size, labels["verbs"], hidden=inner, dropout=dropout)
        self.noun = Classifier(size, labels["nouns"], hidden=inner, dropout=dropout)

        def heads() -> dict[str, nn.Module]:
            return {
                "verb": Classifier(size, labels["verbs"], hidden=inner, dropout=dropout, last_bias=False),
                "noun": Classifier(size, labels["nouns"], hidden=inner, dropout=dropout, last_bias=False),
            }

        self.stream = Fusion(self.model.fusion, streams, heads)

    @classmethod
    def labels(cls, annotations: Annotations) -> Labels:
        taxonomy = annotations.taxonomy()
        return {"verbs": taxonomy.verbs, "nouns": taxonomy.nouns}

    @classmethod
    def samples(cls, source: SampleSource, split: str, params: TaskParams) -> list[Sample]:
        samples = []
        for clip_uid, listed in source.annotations.actions_by_clip(split, source.skips).items():
            clip, actions = listed[0], [action for action in listed if action.timed]
            if not actions or not source.usable(clip.video_uid, clip_uid):
                continue
            rows = source.grid.rows(clip.clip_start, clip.clip_end, source.rows[clip.video_uid])
            if not len(rows):
                source.skips.add("clip outside of the video's features", clip_uid)
                continue
            actions = sorted(actions, key=lambda action: action.start)
            frames = np.array([[action.start, action.end] for action in actions])
            segments = source.grid.seconds(frames, clip.clip_start).astype(np.float32)
            targets = {
                "verbs": np.array([UNLABELLED if action.verb is None else action.verb for action in actions]),
                "nouns": np.array([UNLABELLED if action.noun is None else action.noun for action in actions]),
            }
            pos = source.grid.positions(len(rows))
            items = [f"{clip_uid}: action_idx {action.action_idx}" for action in actions]
            source.count_rowless(pos, segments, "action that no feature row lies in", items)
            names = tuple(action.name for action in actions)
            texts = {"names": names} if any(names) else {}
            samples.append(Sample(clip_uid, clip.video_uid, rows, pos, targets, segments, texts=texts))
        return samples

    @classmethod
    def from_footage(cls, footage: Footage, params: TaskParams) -> list[Sample]:
        unknown = [(windows, np.full(len(windows), UNLABELLED)) for windows in footage.parts()]
        return [footage.pooled(windows, {"verbs": none, "nouns": none}) for windows, none in unknown]

    def align(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        assert batch.segment_nodes is not None, "an AR batch has segments"
        return segment_mean(features[0], batch.segment_nodes)

    def forward(self, levels: Sequence[Tensor], batch: Batch, streams: Streams | None = None) -> Outputs:
        pooled = self.stream.fuse_features(self.align([self.neck(levels[0])], batch), streams)
        return {
            "features": pooled,
            "verb_logits": self.stream.fuse_logits("verb", self.verb(pooled), streams),
            "noun_logits": self.stream.fuse_logits("noun", self.noun(pooled), streams),
        }

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        share = batch.share(batch.targets["verbs"])
        return {
            "verb": cross_entropy(outputs["verb_logits"], batch.targets["verbs"]) * share,
            "noun": cross_entropy(outputs["noun_logits"], batch.targets["nouns"]) * share,
        }

    def decode(
        self, outputs: Outputs, batch: Batch, samples: Sequence[Sample], decode: Any, generator: np.random.Generator
    ) -> pd.DataFrame:
        return ranked_table(samples, *(top_classes(outputs[f"{part}_logits"]) for part in ("verb", "noun")))

    @classmethod
    def score(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> dict[str, float]:
        scores = {}
        for part in ("verb", "noun"):
            truth = np.concatenate([sample.targets[f"{part}s"] for sample in samples])
            ranked = np.stack(predictions[part].to_list())
            scores.update({f"{part}_{name}": value for name, value in accuracies(ranked, truth).items()})
        return scores

    @classmethod
    def named(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> pd.DataFrame:
        table = predictions[[]].assign(**pooled_seconds(samples))
        for part in ("verb", "noun"):
            table[part] = [labels[f"{part}s"][best[0]] for best in predictions[part]]
            table[f"{part}_score"] = [best[0] for best in predictions[f"{part}_score"]]
        return table.assign(label=table["verb"] + " " + table["noun"], score=table["verb_score"] * table["noun_score"])

    @classmethod
    def chance(
        cls, train: Sequence[Sample], samples: Sequence[Sample], labels: Labels, generator: np.random.Generator
    ) -> pd.DataFrame:
        count = sum(len(sample.targets["verbs"]) for sample in samples)
        ranked = []
        for part in ("verb", "noun"):
            seen = np.concatenate([sample.targets[f"{part}s"] for sample in train])
            frequency = np.bincount(seen[seen >= 0], minlength=len(labels[f"{part}s"]))
            best = np.argsort(-frequency, kind="stable")[:TOP]
            share = (frequency[best] / max(frequency.sum(), 1)).astype(np.float32)
            ranked.append((np.tile(best, (count, 1)), np.tile(share, (count, 1))))
        return ranked_table(samples, *ranked)


def top_classes(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The TOP classes of logits [S, C], best first, and their probabilities: both [S, TOP]."""
    best = torch.topk(logits, min(TOP, logits.shape[1]), dim=1).indices
    probability = torch.softmax(logits.detach().float(), dim=1).gather(1, best)
    return best.cpu().numpy(), probability.cpu().numpy()


def ranked_table(
    samples: Sequence[Sample], verb: tuple[np.ndarray, np.ndarray], noun: tuple[np.ndarray, np.ndarray]
) -> pd.DataFrame:
    """One row a segment: `key`, `segment` (its index in the sample), `verb` and `noun` (classes, best first),
    `verb_score` and `noun_score` (their probabilities).
    """
    import pandas as pd

    counts = [len(sample.targets["verbs"]) for sample in samples]
    return pd.DataFrame(
        {
            "key": np.repeat([sample.key for sample in samples], counts),
            "segment": np.concatenate([np.arange(count) for count in counts]),
            "verb": list(verb[0]),
            "noun": list(noun[0]),
            "verb_score": list(verb[1]),
            "noun_score": list(noun[1]),
        }
    )


def accuracies(ranked: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Top-1, top-5 and class-mean accuracy in percent of classes ranked [S, TOP] against labels [S]; unlabelled
    segments take no part. NaN where none is labelled.
    """
    labelled = truth != UNLABELLED
    if not labelled.any():
        return dict.fromkeys(("top1", "top5", "class_mean"), math.nan)
    ranked, truth = ranked[labelled], truth[labelled]
    correct = ranked == truth[:, None]
    by_class = [correct[truth == label, 0].mean() for label in np.unique(truth)]
    return {
        "top1": 100 * float(correct[:, 0].mean()),
        "top5": 100 * float(correct.any(axis=1).mean()),
        "class_mean": 100 * float(np.mean(by_class)),
    }
