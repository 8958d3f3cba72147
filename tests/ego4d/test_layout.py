from __future__ import annotations

from pathlib import Path

import pytest

from egopack.ego4d import layout
from egopack.ego4d.sources.table import optional_files, source_files


def test_names_follow_the_official_layout(tmp_path: Path) -> None:
    assert layout.annotation_file(tmp_path, "v2", "fho_oscc-pnr", "val") == tmp_path.joinpath(
        "annotations", "v2", "fho_oscc-pnr_val.json"
    )
    assert [path.name for path in source_files(tmp_path, "v1", "fho_lta")] == [
        "fho_lta_train.json",
        "fho_lta_val.json",
        "fho_lta_test_unannotated.json",
        "fho_lta_taxonomy.json",
    ]
    assert layout.taxonomy_file(tmp_path, "v1").parent == layout.annotation_dir(tmp_path, "v1")
    about = tmp_path / "annotations" / "v1" / "ego4d.json"
    assert optional_files(tmp_path, "v1", "moments") == (tmp_path / "annotations" / "mq_labels.tsv", about)
    assert optional_files(tmp_path, "v1", "fho_lta") == (about,)
    assert optional_files(tmp_path, "v1", "scenarios") == ()  # it needs the file


def test_feature_file_prefers_pt_and_may_be_absent(tmp_path: Path) -> None:
    folder = layout.feature_dir(tmp_path, "egovlp")
    folder.mkdir(parents=True)
    assert layout.feature_files(tmp_path, "egovlp", "u") == []
    (folder / "u.npy").touch()
    assert layout.feature_files(tmp_path, "egovlp", "u") == [folder / "u.npy"]
    (folder / "u.pt").touch()
    assert layout.feature_files(tmp_path, "egovlp", "u") == [folder / "u.pt", folder / "u.npy"]


def test_unknown_sources_and_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="source 'nlq'"):
        source_files(tmp_path, "v1", "nlq")
    with pytest.raises(ValueError, match="split 'test'"):
        layout.annotation_file(tmp_path, "v1", "moments", "test")
