"""EPIC-KITCHENS-100's challenges: what trained networks say of every segment and video that is asked for, its scores on
the validation split, and as submissions.

Recognition takes the scores of all classes, of which the pipeline's own predictions keep the best alone. A segment or
video of which nothing can be said, since its features are not there, is answered by equal scores, or by nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from egopack.challenges.epic_detection import ActionSegments, detection_scores, pair_segments
from egopack.challenges.epic_recognition import RecognitionTruth, recognition_scores
from egopack.challenges.epic_submissions import (
    ActionDetection,
    SupervisionLevels,
    detection_submission,
    recognition_submission,
)
from egopack.data.loader import FeatureRows, Loader
from egopack.data.samples import Sample
from egopack.detection.average_precision import Predictions
from egopack.evaluation.predict import SAMPLES_AT_ONCE
from egopack.footage.epic import Asked
from egopack.model.network import Network

PARTS = ("verb", "noun")
Report = dict[str, Any]


@dataclass(frozen=True)
class Recognized:
    """`scores` [S, classes] of each part for the segments that are asked for, in their order; how many of them are
    `unknown`.
    """

    scores: dict[str, NDArray[np.float32]]
    unknown: int


@torch.no_grad()
def recognize(
    network: Network,
    task: str,
    samples: Sequence[Sample],
    features: FeatureRows,
    asked: Asked,
    *,
    device: torch.device,
    on_batch: Callable[[int], object] = lambda samples: None,
) -> Recognized:
    """Logits of all verbs and nouns; the samples name their segments as the challenge does."""
    network.to(device).eval()
    levels, radius_s = network.head(task).params.levels, network.spec.backbone.radius_s
    loader = Loader(samples, features, batch_size=SAMPLES_AT_ONCE, levels=levels, radius_s=radius_s)
    parts: dict[str, list[NDArray[np.float32]]] = {part: [] for part in PARTS}
    for batch, chosen in loader.epoch():
        outputs = network(task, batch.to(device))
        for part, given in parts.items():
            given.append(outputs[f"{part}_logits"].float().cpu().numpy())
        on_batch(len(chosen))
    place = {name: row for row, name in enumerate(name for one in samples for name in one.texts["names"])}
    rows = np.array([place.get(name, -1) for name in asked.segments["id"]], dtype=np.int64)
    sizes = network.spec.tasks[task].labels
    found = {
        part: np.concatenate([np.zeros((1, sizes[f"{part}s"]), np.float32), *given]) for part, given in parts.items()
    }
    return Recognized({part: given[rows + 1] for part, given in found.items()}, int((rows < 0).sum()))


def score_recognition(found: Recognized, asked: Asked) -> Report:
    """Accuracies of the segments, as the official scorer gives them."""
    table = asked.segments
    truth = RecognitionTruth(table["verb"].to_numpy(), table["noun"].to_numpy(), tuple(table["participant"]))
    verb, noun = (found.scores[part] for part in PARTS)
    return dict(recognition_scores(verb, noun, truth, asked.tail["verb"], asked.tail["noun"], asked.unseen))


def submit_recognition(found: Recognized, asked: Asked, levels: SupervisionLevels) -> dict[str, Any]:
    """The submission of the segments."""
    ids = list(asked.segments["id"])
    return recognition_submission(ids, found.scores["verb"], found.scores["noun"], levels, expected=ids)


def detect(verbs: pd.DataFrame, nouns: pd.DataFrame, asked: Asked, most: int) -> tuple[ActionSegments, NDArray[Any]]:
    """Actions of what the two detectors predicted, tables of MQ whose keys are videos; the `most` best of a video."""
    index = {video: number for number, video in enumerate(videos_of(asked))}
    parts = []
    for table in (verbs, nouns):
        own = table[table["key"].isin(index)]
        parts.append(
            Predictions(
                video=own["key"].map(index).to_numpy(np.int64),
                segments=own[["start", "end"]].to_numpy(np.float64),
                labels=own["label"].to_numpy(np.int64),
                scores=own["score"].to_numpy(np.float64),
            )
        )
    return pair_segments(parts[0], parts[1], most)


def videos_of(asked: Asked) -> list[str]:
    """The videos that are asked for, sorted."""
    return sorted(asked.segments["video"].unique())


def score_detection(found: ActionSegments, scores: NDArray[Any], asked: Asked) -> Report:
    """Mean average precision of the actions, as the official scorer gives it."""
    index, table = {video: number for number, video in enumerate(videos_of(asked))}, asked.segments
    truth = ActionSegments(
        table["video"].map(index).to_numpy(np.int64),
        table["verb"].to_numpy(np.int64),
        table["noun"].to_numpy(np.int64),
        table[["start", "end"]].to_numpy(np.float64),
    )
    return dict(detection_scores(truth, found, scores))


def submit_detection(
    found: ActionSegments, scores: NDArray[Any], asked: Asked, levels: SupervisionLevels
) -> dict[str, Any]:
    """The submission of the actions; a segment without any length is none."""
    names = videos_of(asked)
    videos: dict[str, list[ActionDetection]] = {video: [] for video in names}
    rows = zip(found.video, found.verb, found.noun, scores, found.segments, strict=True)
    for video, verb, noun, score, (start, end) in rows:
        if end > start:
            videos[names[video]].append(ActionDetection(int(verb), int(noun), float(score), float(start), float(end)))
    return detection_submission(videos, levels, expected=names)
