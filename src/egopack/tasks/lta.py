"""Long-term anticipation (LTA): the verbs and nouns of the next Z actions after two observed ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from egopack.data.batch import Batch
from egopack.data.footage import Footage
from egopack.data.moving import move
from egopack.data.pyramid import Edges, radius_edges
from egopack.data.samples import Sample
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.challenges import LTA
from egopack.ego4d.layout import TEST
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.fho_lta import Action
from egopack.ego4d.submissions import lta_submission
from egopack.labels import UNLABELLED, Labels
from egopack.nn.fusion import Streams, fuse
from egopack.nn.heads import Classifier, repeat_each, video_max
from egopack.nn.losses import cross_entropy
from egopack.nn.sums import is_compiled
from egopack.nn.tdgc import TDGC
from egopack.params import ModelParams, Strict, TaskParams, Width
from egopack.tasks.base import Outputs, SampleSource, Task

if TYPE_CHECKING:
    import pandas as pd

OBSERVED = 2
PARTS = ("verb", "noun")


class LtaSamples(Strict):
    """What is anticipated."""

    horizon: Annotated[int, Field(ge=1, le=1000)] = Field(20, description="number Z of actions that are anticipated")


class LtaModel(ModelParams):
    """Neck and head, with a graph over the future actions."""

    radius: Annotated[float, Field(gt=0, le=1e5)] = Field(
        2.5, description="future actions at most this far apart exchange messages, in places of the sequence"
    )
    gate_size: Width = Field(256, description="hidden width of the gate of their convolution")
    prior: float = Field(
        0.01, gt=0, lt=1, description="probability of a class from which the bias of the classifiers starts"
    )


class LtaDecode(Strict):
    """From logits to sequences of actions."""

    candidates: Annotated[int, Field(ge=1, le=10_000)] = Field(5, description="number K of sequences that are sampled")


class LtaParams(TaskParams):
    samples: LtaSamples
    model: LtaModel


class LongTermAnticipation(Task):
    """Maximum over the observed nodes, copied to Z nodes that exchange messages, then verb and noun classifiers per
    node.

    Outputs: `verb_logits` [B * Z, verbs], `noun_logits` [B * Z, nouns].
    """

    Params = LtaParams
    Decode = LtaDecode
    sources: ClassVar = ("fho_lta", "actions")
    headline: ClassVar = {"verb_ed": "min", "noun_ed": "min"}
    challenge: ClassVar = LTA
    params: LtaParams
    model: LtaModel

    def __init__(self, hidden: int, params: TaskParams, labels: Mapping[str, int], streams: Sequence[str] = ()) -> None:
        super().__init__(hidden, params, labels, streams)
        size, gate_size = self.model.features, self.model.gate_size
        self.head = nn.ModuleDict({"conv": nn.ModuleList(TDGC(size, gate_size=gate_size) for _ in range(2))})
        common = {"hidden": self.model.classifier_hidden, "dropout": self.model.dropout, "prior": self.model.prior}
        self.verb = Classifier(size, labels["verbs"], **common)  # type: ignore[arg-type]
        self.noun = Classifier(size, labels["nouns"], **common)  # type: ignore[arg-type]

    def convolutions(self) -> list[nn.Module]:
        convolutions = self.head["conv"]
        assert isinstance(convolutions, nn.ModuleList)
        return list(convolutions)

    @classmethod
    def labels(cls, annotations: Annotations) -> Labels:
        taxonomy = annotations.taxonomy()
        return {"verbs": taxonomy.verbs, "nouns": taxonomy.nouns}

    @classmethod
    def samples(cls, source: SampleSource, split: str, params: TaskParams) -> list[Sample]:
        horizon: int = params.samples.horizon
        samples = []
        for clip_uid, unordered in source.annotations.actions_by_clip(split, source.skips).items():
            video_uid = unordered[0].video_uid
            if not source.usable(video_uid, clip_uid, split):
                continue
            actions = sequence(unordered, source)
            if len(actions) <= OBSERVED + horizon:
                source.skips.add("clip with too few actions to anticipate", clip_uid)
            for first in range(len(actions) - OBSERVED - horizon):
                observed, future = (
                    actions[first : first + OBSERVED],
                    actions[first + OBSERVED : first + OBSERVED + horizon],
                )
                key = f"{clip_uid}#{observed[-1].action_idx}"
                rows = observed_rows(observed, key, source, split)
                if rows is None:
                    continue
                targets = {
                    "verbs": np.array([UNLABELLED if action.verb is None else action.verb for action in future]),
                    "nouns": np.array([UNLABELLED if action.noun is None else action.noun for action in future]),
                }
                pos = np.round(source.grid.positions(len(rows)), 3)
                frames = [(one.start, one.end) if one.timed else (np.nan, np.nan) for one in future]
                metadata = {"future": np.array(frames, np.float64).reshape(-1, 2) / source.grid.fps}  # of the video
                samples.append(Sample(key, video_uid, rows, pos, targets, metadata=metadata))
        return samples

    @classmethod
    def from_footage(cls, footage: Footage, params: TaskParams) -> list[Sample]:
        unknown = np.full(params.samples.horizon, UNLABELLED)
        samples = []
        for window in footage.windows():
            rows = footage.rows(*window)
            pos = np.round(footage.grid.positions(len(rows)), 3)
            targets = {"verbs": unknown, "nouns": unknown}
            samples.append(Sample(footage.video, footage.video, rows, pos, targets, metadata={"at": window}))
        return samples

    def align(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        return video_max(features[0], batch.pyramid[0].videos)

    def forward(self, levels: Sequence[Tensor], batch: Batch, streams: Streams | None = None) -> Outputs:
        horizon = self.params.samples.horizon
        video = fuse(self.align([self.neck(levels[0])], batch), streams)
        nodes = repeat_each(video, horizon)
        edges = anticipation_edges(len(video), horizon, self.model.radius, nodes.device, is_compiled(nodes))
        for conv in self.convolutions():
            nodes = torch.relu(conv(nodes, edges))
        return {"features": nodes, "verb_logits": self.verb(nodes), "noun_logits": self.noun(nodes)}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        share = batch.share(batch.targets["verbs"])
        return {part: cross_entropy(outputs[f"{part}_logits"], batch.targets[f"{part}s"]) * share for part in PARTS}

    def decode(
        self, outputs: Outputs, batch: Batch, samples: Sequence[Sample], decode: Any, generator: np.random.Generator
    ) -> pd.DataFrame:
        shape = (len(samples), self.params.samples.horizon, -1)
        drawn = {
            part: sample_classes(
                torch.softmax(outputs[f"{part}_logits"].double(), -1).cpu().numpy(), decode.candidates, generator
            )
            for part in PARTS
        }
        return sequence_table(samples, *(drawn[part].reshape(shape) for part in PARTS))

    @classmethod
    def score(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> dict[str, float]:
        scores: dict[str, float] = {}
        for part in PARTS:
            truth = np.stack([sample.targets[f"{part}s"] for sample in samples])  # (n, Z)
            drawn = np.array([np.stack(list(rows)) for rows in predictions[part].to_list()])  # (n, Z, K)
            if (truth == UNLABELLED).all():
                scores |= {f"{part}_ed": math.nan, f"{part}_aued": math.nan}
                continue
            at_horizon = edit_distance_at(drawn, truth)
            scores[f"{part}_ed"] = float(at_horizon[-1])
            scores[f"{part}_aued"] = area_under_edit_distance(at_horizon)
        return scores

    @classmethod
    def named(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> pd.DataFrame:
        """A row for each step of each sequence that was drawn; the score is the share of the sequences that agree."""
        import pandas as pd

        drawn = [
            np.array(labels[f"{part}s"], dtype=object)[np.array([np.stack(list(row)) for row in predictions[part]])]
            for part in PARTS
        ]  # (n, Z, K) each
        at = np.stack([sample.metadata["at"] for sample in samples])
        sample, step, candidate = (part.ravel() for part in np.indices(drawn[0].shape))
        label = drawn[0] + " " + drawn[1]
        score = (label[..., None] == label[..., None, :]).mean(axis=-1)
        verb, noun, label = (part.ravel() for part in (*drawn, label))
        columns = {"start": at[sample, 0], "end": at[sample, 1], "label": label, "score": score.ravel()}
        return pd.DataFrame(columns | {"step": step + 1, "sequence": candidate + 1, "verb": verb, "noun": noun})

    @classmethod
    def chance(
        cls, train: Sequence[Sample], samples: Sequence[Sample], labels: Labels, generator: np.random.Generator
    ) -> pd.DataFrame:
        steps, candidates = len(samples[0].targets["verbs"]), LtaDecode().candidates
        drawn = []
        for part in PARTS:
            seen = np.concatenate([sample.targets[f"{part}s"] for sample in train])
            frequency = np.bincount(seen[seen >= 0], minlength=len(labels[f"{part}s"])).astype(np.float64)
            if not frequency.any():
                frequency += 1  # of verbs or nouns alone
            drawn.append(
                generator.choice(len(frequency), size=(len(samples), steps, candidates), p=frequency / frequency.sum())
            )
        return sequence_table(samples, *drawn)

    @classmethod
    def submission(cls, predictions: pd.DataFrame, samples: Sequence[Sample], labels: Labels) -> Any:
        entries = {}
        for row in predictions.to_dict("records"):
            clip_uid, action_idx = row["key"].rsplit("#", 1)
            verb, noun = (np.stack(list(row[part])).T.tolist() for part in PARTS)
            entries[f"{clip_uid}_{action_idx}"] = (verb, noun)
        return lta_submission(entries)


def sequence(unordered: Sequence[Action], source: SampleSource) -> list[Action]:
    """The actions of a clip in the order of their action_idx.

    Of several with one action_idx the only one that is timed counts, else they are one that is not timed, with the
    labels in which they agree.
    """
    places: dict[int, list[Action]] = {}
    for action in unordered:
        places.setdefault(action.action_idx, []).append(action)
    return [_only(places[index], source.skips) for index in sorted(places)]


def _only(actions: Sequence[Action], skips: Skips) -> Action:
    first = actions[0]
    if len(actions) == 1:
        return first
    for _ in actions[1:]:
        skips.add("action that has the action_idx of another", f"{first.clip_uid}: action_idx {first.action_idx}")
    timed = [action for action in actions if action.timed]
    if len(timed) == 1:
        return timed[0]
    verb, noun = (
        labels[0] if len(set(labels)) == 1 else UNLABELLED
        for labels in ([action.verb for action in actions], [action.noun for action in actions])
    )
    return replace(first, verb=verb, noun=noun, timed=False)


def observed_rows(observed: Sequence[Action], key: str, source: SampleSource, split: str) -> np.ndarray | None:
    """Rows from the start of the first to the end of the last of the observed actions; none, and counted, unless all
    of them are timed. On the test split those that are, or the nearest row, have to do.
    """
    timed = [action for action in observed if action.timed]
    if len(timed) < len(observed):
        source.skips.add("observed action of which it cannot be told where it lies", key)
        if split != TEST:
            return None
    first, last = (timed or observed)[0], (timed or observed)[-1]
    return source.rows_within(
        first.video_uid,
        (first.start, last.end),
        split,
        "observed actions without a feature row",
        key,
        "observed actions that go on where the features end",
    )


@lru_cache(maxsize=8)
def anticipation_edges(videos: int, horizon: int, radius: float, device: torch.device, compiled: bool) -> Edges:
    """Edges between the Z future actions of every video, at positions 0 ... Z-1; unless `compiled`, with what the
    portable path needs.
    """
    pos = np.tile(np.arange(horizon, dtype=np.float32), videos)
    edges = radius_edges(pos, [horizon] * videos, radius)
    return edges if compiled else move(edges.prepared(), device)


def sample_classes(probability: np.ndarray, candidates: int, generator: np.random.Generator) -> np.ndarray:
    """K independent draws from each row of probabilities [M, C] -> classes [M, K], by inversion of the cumulative
    sum.
    """
    cumulative = np.cumsum(probability, axis=1)
    draws = generator.random((len(probability), candidates)) * cumulative[:, -1:]
    return np.stack([(cumulative < draws[:, k : k + 1]).sum(axis=1) for k in range(candidates)], axis=1)


def sequence_table(samples: Sequence[Sample], verb: np.ndarray, noun: np.ndarray) -> pd.DataFrame:
    """One row a sample: `key`, `verb` and `noun`, each the drawn sequences [Z, K] as nested lists."""
    import pandas as pd

    return pd.DataFrame({"key": [sample.key for sample in samples], "verb": verb.tolist(), "noun": noun.tolist()})


def edit_distance_at(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Levenshtein distance of the first z steps over z, at z = 1 ... Z: best of K candidates, mean over samples.

    Shapes: predictions [n, Z, K], labels [n, Z] -> [Z].
    """
    return best_edit_distance(predictions, labels, range(1, labels.shape[1] + 1)).mean(axis=0)


def best_edit_distance(predictions: np.ndarray, labels: np.ndarray, horizons: Sequence[int]) -> np.ndarray:
    """Distance of each sample's best candidate over the first z steps, divided by z: [n, len(horizons)]."""
    from rapidfuzz.distance import Levenshtein

    out = np.empty((len(labels), len(horizons)))
    for row, (candidates, truth) in enumerate(
        zip(predictions.transpose(0, 2, 1).tolist(), labels.tolist(), strict=True)
    ):
        for column, z in enumerate(horizons):
            out[row, column] = min(Levenshtein.distance(candidate[:z], truth[:z]) for candidate in candidates) / z
    return out


def area_under_edit_distance(distance_at: np.ndarray) -> float:
    """AUED: trapezoid area under the distance at horizons 1 ... Z, over Z - 1."""
    return float(np.trapezoid(distance_at)) / max(len(distance_at) - 1, 1)
