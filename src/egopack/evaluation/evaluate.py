"""Predicting and scoring a validation split, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from egopack.data.batch import Batch
from egopack.data.loader import FeatureRows
from egopack.data.samples import Sample
from egopack.data.splits import read_labels, read_split
from egopack.evaluation.predict import Scores, predict, rounded, told, write_predictions
from egopack.model.network import Network
from egopack.runtime.progress import progress
from egopack.runtime.ranks import Ranks
from egopack.tasks.base import load_task


def evaluate(
    network: Network,
    task: str,
    decode: Any,
    samples_folder: Path,
    features: FeatureRows,
    out: Path,
    *,
    name: str,
    seed: int,
    device: torch.device,
    watch: Callable[[Batch, Sequence[Sample]], object] = lambda batch, samples: None,
) -> Scores:
    """Predict the validation split of `task`, write the table to `out`, and return its scores. `name` is that
    of the bar, `watch` is told of each batch that was predicted.
    """
    samples, labels = read_split(samples_folder, "val"), read_labels(samples_folder)
    with progress(len(samples), name, "sample") as bar:
        table = predict(
            network, task, samples, features, decode, seed=seed, device=device, on_batch=bar.update, watch=watch
        )
    write_predictions(out, table)
    return rounded(network.head(task).score(table, samples, labels))


def in_words(task: str, scores: Scores) -> str:
    """The headline metrics of a task."""
    return told(scores, load_task(task).headline)


def headlines(
    network: Network, samples_root: Path, features: FeatureRows, *, seed: int, device: torch.device, ranks: Ranks
) -> dict[str, tuple[float, str]]:
    """Headline metrics of every task on its validation split <samples_root>/<task>, as <task>/<metric>, each with what
    is better; without those that are not defined.

    Predictions are made by the defaults of decoding, since training does not depend on `decode` in params.yaml. Ranks
    predict together, and rank 0 alone scores.
    """
    found: dict[str, tuple[float, str]] = {}
    for task in network.task:
        folder, head = samples_root / task, network.head(task)
        samples, labels = read_split(folder, "val"), read_labels(folder)
        table = predict(network, task, samples, features, head.Decode(), seed=seed, device=device, ranks=ranks)
        if not ranks.is_main:
            continue
        scores = rounded(head.score(table, samples, labels))
        for metric, better in head.headline.items():
            score = scores[metric]
            if score is not None:
                found[f"{task}/{metric}"] = score, better
    return found
