"""Files that are made to do harm, or look like it: one line or a counted skip, in little time and memory."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from egopack.ego4d.features import DamagedFile, read_features
from tests.ego4d.test_damage import one_line, passes
from tests.support.workplace import SETTINGS, Workplace

SET = SETTINGS.feature_set


def test_headers_with_one_wrong_byte(tmp_path: Path) -> None:
    path = tmp_path / "u.npy"
    np.save(path, np.ones((50, 8), np.float32))
    whole, damaged = path.read_bytes(), 0
    generator = np.random.default_rng(0)
    for place in range(128):
        for value in generator.integers(0, 256, 16).tolist():
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                rows = read_features(path)
            except DamagedFile:
                damaged += 1
            else:
                assert rows.nbytes <= 4 * len(whole)
    assert damaged > 1000


HEADERS = {
    "no Python": b"{'descr'(\n\n",
    "deep": b"(" * 9000,
    "many digits": b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b", 1), }",
    "huge": b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 8), }",
    "negative": b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -8), }",
    "rows of rows": b"{'descr': ('<f4', (1000000000,)), 'fortran_order': False, 'shape': (1, 8), }",
    "wide type": b"{'descr': '<f400000000', 'fortran_order': False, 'shape': (1, 8), }",
    "huge without columns": b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 0), }",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_malice(name: str, tmp_path: Path) -> None:
    header = HEADERS[name] + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(100)
    (tmp_path / "u.npy").write_bytes(content)
    with pytest.raises(DamagedFile):
        read_features(tmp_path / "u.npy")
    endless = b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + header + b" " * 100
    (tmp_path / "u.npy").write_bytes(endless)
    with pytest.raises(DamagedFile, match="cut short"):
        read_features(tmp_path / "u.npy")


def test_an_archive_in_place_of_an_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "u.npz", a=np.ones((3, 8)))
    (tmp_path / "u.npz").rename(tmp_path / "u.npy")
    with pytest.raises(DamagedFile, match="not an array"):
        read_features(tmp_path / "u.npy")


@pytest.mark.parametrize("suffix", ["pt", "npy"])
def test_a_file_that_may_not_be_read_is_no_damaged_one(
    suffix: str, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workplace.features()[0]
    if suffix == "npy":
        np.save(path.with_suffix(".npy"), workplace.matrix(path))
        path.unlink()
    name = f"{path.stem}.{suffix}"
    opened = Path.open

    def refuse(self: Path, *arguments: object, **keywords: object) -> object:  # root may read anything
        if self.name == name:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **keywords)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    line = one_line(workplace.run("fingerprint"))
    assert f"{name}: cannot be read (Permission denied); it has to be a readable file" in line
    done = workplace.run("check")
    assert done.exit_code == 1
    assert f"raw/features/{SET}/{name}: cannot be read (Permission denied)" in done.output
    assert "cut short" not in done.output


def test_names_that_are_not_text(workplace: Workplace) -> None:
    folder = os.fsencode(workplace.features_folder)
    for name in (b"caf\xe9.pt", b"two\nlines.pt"):
        torch.save(torch.ones(9, SETTINGS.feature_size), Path(os.fsdecode(folder + b"/" + name)))
    for stage in ("fingerprint", "shard", "check"):
        done = workplace.run(stage)
        passes(done)
        assert "caf\udce9" not in done.output
    skipped = json.loads(Path("metrics/shards.json").read_text())["skipped"]
    names = [rf"{SET}/caf\xe9.pt", rf"{SET}/two\nlines.pt"]
    assert skipped == {"feature file whose name is not printable text in UTF-8": {"count": 2, "examples": names}}
    noted = json.loads(Path(f"data/manifest/features/{SET}.json").read_text())["files"]
    assert {r"caf\xe9.pt", r"two\nlines.pt"} < set(noted)


def test_content_that_size_and_times_do_not_tell(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    from egopack import checksums

    assert "data/manifest: nothing is noted there to compare with" in workplace.run("check", "--full").output
    monkeypatch.setattr(checksums, "SETTLED_NS", 0)
    monkeypatch.setattr(checksums, "_mark", lambda path: [1, 2, 3, 4])
    passes(workplace.run("fingerprint"))
    passes(workplace.run("check", "--full"))
    path = workplace.features()[1]
    with path.open("r+b") as file:
        file.seek(600)
        file.write(b"\xff" * 7)
    passes(workplace.run("fingerprint"))
    passes(workplace.run("check"))
    done = workplace.run("check", "--full")
    assert done.exit_code == 1
    assert f"features/{SET}: 1 files are not those that were fingerprinted: {path.name} (other content)" in done.output
    before = Path(f"data/manifest/features/{SET}.json").read_bytes()
    passes(workplace.run("fingerprint"))  # which knows better now
    assert Path(f"data/manifest/features/{SET}.json").read_bytes() != before
    workplace.annotation("fho_lta_val").unlink()
    with suppress(OSError):
        assert workplace.run("check", "--full").output.count("missing annotations/v1/fho_lta_val.json") == 1


@pytest.mark.parametrize("digits", [10, 5000])
def test_an_id_of_many_digits(digits: int, workplace: Workplace) -> None:
    (workplace.raw / "annotations" / "mq_labels.tsv").write_text(f"{'9' * digits}\ta\n")
    passes(workplace.run("shard"))
    assert "mq_labels.tsv: line 1 is '99999" in one_line(workplace.run("index", "mq"))
