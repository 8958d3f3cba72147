from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from egopack.checksums import Checksums
from egopack.ego4d import layout
from egopack.ego4d.manifest import command, differences, fingerprint, how_to_fetch
from egopack.ego4d.sources.table import source_files
from egopack.errors import UserError

CORPUS = Path(__file__).parents[1] / "parity" / "pipeline" / "corpus"
SOURCES = ("fho_lta", "fho_oscc-pnr", "moments")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CORPUS, tmp_path / "raw"))


def take(root: Path) -> dict[str, Any]:
    return fingerprint(root, "v1", ["egovlp"], SOURCES)


def test_manifests_hold_relative_names_sizes_and_digests(root: Path) -> None:
    manifests = take(root)
    assert list(manifests) == [*SOURCES, "features/egovlp"]
    for source in SOURCES:
        for name, entry in manifests[source]["files"].items():
            path = root / "annotations" / name if name == "mq_labels.tsv" else root / "annotations" / "v1" / name
            content = path.read_bytes()
            assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert "mq_labels.tsv" in manifests["moments"]["files"]
    names = sorted(path.name for path in (root / "features" / "egovlp").iterdir())
    assert list(manifests["features/egovlp"]["files"]) == names
    assert str(root) not in json.dumps(manifests)


def test_a_copy_elsewhere_has_the_same_manifests(root: Path, tmp_path: Path) -> None:
    assert take(root) == take(Path(shutil.copytree(root, tmp_path / "elsewhere")))


def test_a_change_shows_in_the_manifest_of_its_source_alone(root: Path) -> None:
    def changed(before: dict[str, Any]) -> list[str]:
        now = take(root)
        return [name for name in now if now[name] != before[name]]

    before = take(root)
    path = layout.annotation_file(root, "v1", "fho_oscc-pnr", "val")
    path.write_bytes(path.read_bytes() + b"\n")
    assert changed(before) == ["fho_oscc-pnr"]

    before = take(root)
    layout.moment_labels_file(root).unlink()  # optional
    assert changed(before) == ["moments"]

    before = take(root)
    file = next((root / "features" / "egovlp").iterdir())
    content = bytearray(file.read_bytes())
    content[-5] ^= 1  # of the same size
    file.write_bytes(content)
    assert changed(before) == ["features/egovlp"]

    before = take(root)
    (root / "features" / "egovlp" / "readme.txt").touch()
    (root / "annotations" / "v1" / "narration.json").unlink()
    assert changed(before) == []


def test_a_change_anywhere_in_a_feature_file_is_noticed(root: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.json"

    def take_noted(again: bool = False) -> dict[str, Any]:
        with Checksums(note, again=again) as checksums:
            return fingerprint(root, "v1", ["egovlp"], SOURCES, checksums)

    before, file = take_noted(), sorted((root / "features" / "egovlp").iterdir())[1]
    assert before == take_noted() == take(root)
    content = file.read_bytes()
    expected = f"{len(content)} {hashlib.sha256(content).hexdigest()}"
    assert before["features/egovlp"]["files"][file.name] == expected
    middle = len(content) // 2
    with file.open("r+b") as handle:
        handle.seek(middle)
        handle.write(bytes([content[middle] ^ 1]))
    now = take_noted()
    assert now == take(root) != before
    line = f"features/egovlp: 1 files are not those that were fingerprinted: {file.name} (other content); restore them"
    assert [one.split(", or")[0] for one in differences(before, now)] == [line]
    file.rename(file.with_name("another.pt"))
    assert f"{file.name} (gone), another.pt (new)" in differences(before, take_noted())[0]
    assert not differences(before, before)


def test_what_is_missing_is_listed_with_the_command_that_fetches_it(root: Path, tmp_path: Path) -> None:
    layout.annotation_file(root, "v1", "moments", "val").unlink()
    shutil.rmtree(root / "features")
    with pytest.raises(UserError) as caught:
        take(root)
    text = str(caught.value)
    assert "missing annotations/v1/moments_val.json, features/egovlp/<video_uid>.pt;" in text
    assert "--datasets annotations --benchmarks FHO EM --version v1 and put" in text
    assert f"so put a <video_uid>.pt or .npy of each video at {root}/features/egovlp" in text
    assert "\n" not in text
    with pytest.raises(UserError) as caught:
        fingerprint(tmp_path / "nowhere", "v1", ["egovlp"], SOURCES)
    for source in SOURCES:
        assert all(path.name in str(caught.value) for path in source_files(root, "v1", source))
    (root / "features" / "egovlp").mkdir(parents=True)
    with pytest.raises(UserError, match=r"features/egovlp/<video_uid>\.pt"):
        take(root)


def test_a_directory_in_place_of_a_file_is_refused(root: Path) -> None:
    path = layout.taxonomy_file(root, "v1")
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=r"fho_lta_taxonomy\.json: cannot be read"):
        take(root)


@pytest.mark.parametrize(
    ("names", "theirs"),
    [
        (["omnivore", "slowfast"], ["omnivore_video_swinl", "slowfast8x8_r101_k400"]),
        (["omnivore_video_swinl_fp16", "egovlp", "mine"], ["omnivore_video_swinl_fp16"]),
    ],
)
def test_the_official_client_is_asked_for_what_it_has(names: list[str], theirs: list[str]) -> None:
    assert command("v2", names) == (
        f'ego4d --output_directory="~/ego4d_data" --datasets annotations {" ".join(theirs)} '
        "--benchmarks FHO EM --version v2"
    )
    text = how_to_fetch("/data/ego4d", "v2", names)
    assert "~/ego4d_data/v2/annotations at /data/ego4d/annotations/v2" in text
    assert f"~/ego4d_data/v2/{theirs[0]} at /data/ego4d/features/{names[0]}" in text
    assert ("of each video at /data/ego4d/features/egovlp, /data/ego4d/features/mine" in text) == ("mine" in names)
