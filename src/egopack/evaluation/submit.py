"""The answer to a task's challenge: predictions of the unannotated split, in the form that its server takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import torch

from egopack.data.loader import FeatureRows
from egopack.data.splits import read_labels, read_split
from egopack.ego4d.layout import TEST, annotation_file
from egopack.errors import UserError
from egopack.evaluation.predict import predict
from egopack.files import atomic_path
from egopack.model.network import Network
from egopack.runtime.progress import progress


def submit(
    network: Network,
    task: str,
    decode: Any,
    samples_folder: Path,
    features: FeatureRows,
    root: Path,
    version: str,
    out: Path,
    *,
    seed: int,
    device: torch.device,
) -> int:
    """Predict the unannotated split of `task` and write the challenge file to `out`, once it is whole; how many entries
    it has. What is known of no features is answered by chance.

    Raises:
        UserError: the task has no challenge, or its file would not be what the server takes.
    """
    head = network.head(task)
    challenge = head.challenge
    if challenge is None:
        raise UserError(f"{task}: there is no challenge to answer")
    samples, labels = read_split(samples_folder, TEST), read_labels(samples_folder)
    if not samples:
        raise UserError(f"{samples_folder}: no sample of {TEST}; its annotations or features are not there")
    seen, blind = [one for one in samples if len(one)], [one for one in samples if not len(one)]
    tables = []
    with progress(len(seen), f"submit {task}", "sample") as bar:
        if seen:
            tables += [predict(network, task, seen, features, decode, seed=seed, device=device, on_batch=bar.update)]
    if blind:
        chance = head.chance(read_split(samples_folder, "train"), blind, labels, np.random.default_rng(seed))
        tables.append(chance)
        shown = ", ".join(sample.key for sample in blind[:3])
        click.echo(f"{task}: {len(blind)} samples are answered by chance, since their videos have no features: {shown}")
    table = pd.concat(tables, ignore_index=True)
    try:
        content = head.submission(table, samples, labels)
    except ValueError as error:
        raise UserError(f"{out}: {error}") from None
    try:
        count = challenge.check(content, annotation_file(root, version, challenge.source, TEST), str(out))
    except UserError as error:
        report = samples_folder / "report.json"
        raise UserError(f"{error}; nothing is written; {report} names the items that were left out") from None
    with atomic_path(out) as temporary:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return count
