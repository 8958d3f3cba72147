"""Predicting and scoring with a progress bar, for the three stages that evaluate."""

from __future__ import annotations

from typing import Any

import click
import torch

from egopack.data.shard_reader import FeatureShards
from egopack.evaluation.predict import predict, rounded, write_predictions
from egopack.indexing import read_labels, read_split
from egopack.training.distributed import Ranks
from egopack.training.network import Network
from stages.common import PREDICTIONS, SAMPLES, SHARDS, progress


def evaluate(network: Network, task: str, decode: Any, seed: int, device: torch.device, name: str) -> dict[str, float]:
    """Predict the validation split of `task`, keep the table as data/predictions/<name>.parquet, and return its
    scores.
    """
    samples, labels = read_split(SAMPLES / task, "val"), read_labels(SAMPLES / task)
    with progress(len(samples), name, "sample") as bar:
        table = predict(
            network, task, samples, FeatureShards(SHARDS), decode, seed=seed, device=device, on_batch=bar.update
        )
    write_predictions(PREDICTIONS / f"{name}.parquet", table)
    head = network.head(task)
    scores = rounded(head.score(table, samples, labels))
    click.echo(f"{name}: " + ", ".join(f"{metric} {scores[metric]:g}" for metric in head.headline))
    return scores


def headlines(network: Network, seed: int, device: torch.device, ranks: Ranks) -> dict[str, tuple[float, str]]:
    """Headline metrics of every task on its validation split, as <task>/<metric>, each with what is better.

    Predictions are made by the defaults of decoding, since training does not depend on `decode` in params.yaml. Ranks
    predict together, and rank 0 alone scores.
    """
    found: dict[str, tuple[float, str]] = {}
    features = FeatureShards(SHARDS)
    for task in network.task:
        samples, labels, head = read_split(SAMPLES / task, "val"), read_labels(SAMPLES / task), network.head(task)
        table = predict(network, task, samples, features, head.Decode(), seed=seed, device=device, ranks=ranks)
        if not ranks.leads:
            continue
        scores = rounded(head.score(table, samples, labels))
        found |= {f"{task}/{metric}": (scores[metric], better) for metric, better in head.headline.items()}
    return found
