from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from egopack.preparation.packs import fill_pack
from tests.preparation.test_index import index
from tests.support import small


def test_a_pack_notes_the_samples_that_it_reads(tmp_path: Path) -> None:
    index(tmp_path)
    fill_pack(["ar"], tmp_path, tmp_path / "pack.json")
    noted = json.loads((tmp_path / "pack.json").read_text())
    for name, file in (("train", "train.h5"), ("val", "val.h5"), ("labels", "labels.json")):
        assert noted["ar"][name] == hashlib.sha256((tmp_path / "ar" / file).read_bytes()).hexdigest()
    assert set(noted["ar"]) == {"train", "val", "labels"}


@pytest.mark.parametrize(("split", "changes"), [("train", True), ("val", True), ("test_unannotated", False)])
def test_samples_that_no_training_reads_leave_it_as_it_is(split: str, changes: bool, tmp_path: Path) -> None:
    samples = {name: small.samples_of("ar", 3) for name in ("train", "val", "test_unannotated")}
    index(tmp_path, samples)
    fill_pack(["ar"], tmp_path, tmp_path / "before.json")
    index(tmp_path, samples | {split: small.samples_of("ar", 5, 9)})
    fill_pack(["ar"], tmp_path, tmp_path / "after.json")
    assert ((tmp_path / "before.json").read_bytes() != (tmp_path / "after.json").read_bytes()) is changes
