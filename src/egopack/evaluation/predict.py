"""Predictions of a task over all its samples, and their scores."""

from __future__ import annotations

import errno
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from egopack.data.batch import Batch
from egopack.data.loader import FeatureRows, Loader
from egopack.data.samples import Sample
from egopack.errors import UserError, refused
from egopack.files import atomic_path
from egopack.model.network import Network
from egopack.runtime.ranks import ALONE, Ranks

SAMPLES_AT_ONCE = 32
Scores = dict[str, float | None]


@torch.no_grad()
def predict(
    network: Network,
    name: str,
    samples: Sequence[Sample],
    features: FeatureRows,
    decode: Any,
    *,
    seed: int,
    device: torch.device,
    on_batch: Callable[[int], object] = lambda samples: None,
    watch: Callable[[Batch, Sequence[Sample]], object] = lambda batch, samples: None,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """The task's table of predictions for `samples`, in their order; `seed` is of what is sampled in decoding, which
    has a generator of its own for each batch. `watch` is told of each batch that was predicted.

    Ranks take turns at the batches, and each has the whole table in the end, to the bit that of one process.

    Raises:
        UserError: an output of the network is not finite.
    """
    network.to(device).eval()
    task = network.head(name)
    radius_s = network.spec.backbone.radius_s
    loader = Loader(samples, features, batch_size=SAMPLES_AT_ONCE, levels=task.params.levels, radius_s=radius_s)
    tables = []
    for turn, (batch, chosen) in enumerate(loader.epoch(first=ranks.rank, every=ranks.world)):
        generator = np.random.default_rng([seed, ranks.rank + turn * ranks.world])
        outputs = network(name, batch.to(device))
        for key, value in outputs.items():
            if not torch.isfinite(value).all():
                first = ", ".join(sample.key for sample in chosen[:3])
                raise UserError(f"{name}: {key} of the network is not finite in the batch from {first} on; train again")
        tables.append(task.decode(outputs, batch, chosen, decode, generator))
        watch(batch, chosen)
        on_batch(len(chosen))
    parts = ranks.all_gather(tables)
    in_order = [parts[index % ranks.world][index // ranks.world] for index in range(len(loader))]
    return pd.concat(in_order, ignore_index=True)


def rounded(scores: Mapping[str, float]) -> Scores:
    """Scores with six significant digits: what is below differs from machine to machine. None where a score is not
    defined, since no sample has the label that it is of.
    """
    return {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in scores.items()}


def told(scores: Scores, names: Iterable[str]) -> str:
    """The scores of these names in words, and all that are not defined."""
    text = ", ".join(f"{name} {'undefined' if (value := scores[name]) is None else f'{value:g}'}" for name in names)
    undefined = [name for name, value in scores.items() if value is None]
    because = f" (no sample has a label for {', '.join(undefined)})" if undefined else ""
    return text + because


def write_predictions(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table of predictions as parquet, atomically; the same table gives the same bytes."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def read_predictions(path: Path | str) -> pd.DataFrame:
    """Read what `write_predictions` wrote."""
    try:
        return pd.read_parquet(io.BytesIO(Path(path).read_bytes()))
    except OSError as error:
        if error.errno not in (None, errno.ENOENT):  # without a number it is pyarrow's word for damage
            raise refused(path, error) from None
        raise UserError(f"{path}: not a table of predictions: {error}") from None
    except ValueError as error:
        raise UserError(f"{path}: not a table of predictions: {error}") from None
