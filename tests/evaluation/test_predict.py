from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from egopack.errors import UserError
from egopack.evaluation import predict as module
from egopack.evaluation.predict import predict, read_predictions, rounded, write_predictions
from egopack.tasks.base import Task, load_task
from tests.support import small

CPU = torch.device("cpu")


def table_of(name: str, count: int = 5, seed: int = 0) -> pd.DataFrame:
    network = small.randomize(small.network_of(name, backbone=small.backbone_params(dropout=0.5)))
    decode = load_task(name).Decode()
    return predict(network, name, small.samples_of(name, count), small.Features(), decode, seed=seed, device=CPU)


@pytest.mark.parametrize("name", ["ar", "oscc", "lta", "pnr"])
def test_tables_are_in_the_order_of_the_samples(name: str) -> None:
    assert table_of(name)["key"].drop_duplicates().tolist() == [sample.key for sample in small.samples_of(name, 5)]


@pytest.mark.parametrize("name", ["ar", "oscc", "lta", "pnr"])
def test_batches_do_not_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table_of(name)
    monkeypatch.setattr(module, "SAMPLES_AT_ONCE", 2)
    parts = table_of(name)
    assert len(parts) == len(whole)
    assert parts.index.tolist() == list(range(len(parts)))
    if name == "lta":  # drawn, batch by batch
        return
    for column in whole:
        for got, want in zip(parts[column], whole[column], strict=True):
            if isinstance(want, str):
                assert got == want
            else:
                np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_sampled_predictions_depend_on_the_seed_alone() -> None:
    assert table_of("lta").equals(table_of("lta"))
    assert not table_of("lta").equals(table_of("lta", seed=1))


def test_each_batch_draws_from_a_generator_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLES_AT_ONCE", 2)
    drawn: list[float] = []
    kind = load_task("oscc")
    original = kind.decode

    def decode(self: Task, *arguments: Any) -> pd.DataFrame:
        drawn.append(arguments[-1].random())
        return original(self, *arguments)

    monkeypatch.setattr(kind, "decode", decode)
    table_of("oscc", seed=4)
    assert drawn == [np.random.default_rng([4, index]).random() for index in range(3)]


def test_progress_counts_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLES_AT_ONCE", 2)
    counted: list[int] = []
    network = small.network_of("oscc").train()
    samples = small.samples_of("oscc", 5)
    predict(network, "oscc", samples, small.Features(), None, seed=0, device=CPU, on_batch=counted.append)
    assert counted == [2, 2, 1]
    assert not network.training


def test_scores_have_six_digits() -> None:
    assert rounded({"a": 12.34567891, "b": 1e-9 / 3, "c": 0.0, "d": 1234567.0}) == {
        "a": 12.3457,
        "b": 3.33333e-10,
        "c": 0.0,
        "d": 1234570.0,
    }


@pytest.mark.parametrize("name", small.TASKS)
def test_files_hold_the_table_in_the_same_bytes(name: str, tmp_path: Path) -> None:
    table = table_of(name)
    for file in ("a.parquet", "b.parquet"):
        write_predictions(tmp_path / file, table)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    read = read_predictions(tmp_path / "a.parquet")
    assert list(read) == list(table)
    assert read["key"].tolist() == table["key"].tolist()
    task, samples = load_task(name), small.samples_of(name, 5)
    assert task.score(read, samples, small.LABELS[name]) == task.score(table, samples, small.LABELS[name])


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and no more"])
def test_a_file_that_is_no_table(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"p\.parquet: not a table of predictions: "):
        read_predictions(path)
