from __future__ import annotations

from pathlib import Path

from egopack.preparation.packs import fill_pack
from tests.preparation.test_index import index
from tests.support import small


def test_a_pack_is_trained_again_only_for_what_training_reads(tmp_path: Path) -> None:
    def fill(name: str) -> tuple[bytes, bytes]:
        train, evaluate = tmp_path / name / "train.json", tmp_path / name / "evaluate.json"
        fill_pack(["ar"], tmp_path / "settings", train, evaluate)
        return train.read_bytes(), evaluate.read_bytes()

    index(tmp_path, sigma=2.0)
    before = fill("a")
    index(tmp_path, sigma=3.0)
    after = fill("b")
    assert before[0] == after[0]
    assert before[1] != after[1]
    samples = {name: small.samples_of("ar", 5, 9) for name in ("train", "val", "test_unannotated")}
    index(tmp_path, samples, sigma=3.0)
    assert fill("c")[0] != after[0]
