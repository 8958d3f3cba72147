"""A system that refuses to open, read, map or lock a file: that is told as what it is, and never taken for damage."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import refusing
from tests.support.workplace import Workplace

READY = (["fingerprint"], ["shard"], ["index", "ar"], ["train_single", "ar"], ["evaluate_single", "ar"])
REFUSED = {  # stage -> what it meets
    "train_single ar": [
        "open EIO data/shards/videos.csv",
        "open EMFILE data/shards/shard-00000.h5",
        "read EIO data/shards/shard-00000.h5",
        "read ESTALE data/samples/ar/train.h5",
        "read EIO data/samples/ar/labels.json",
        "read EIO state.safetensors",
    ],
    "evaluate_single ar": [
        "read EIO data/shards/shard-00000.h5",
        "open EACCES data/samples/ar/val.h5",
        "read EIO data/models/single/ar/model.safetensors",
        "open ENOTCONN data/models/single/ar/config.json",
    ],
    "index ar": ["open ESTALE data/videos.csv", "read EREMOTEIO annotations/v1/fho_lta_train.json"],
    "fingerprint": ["read ETIMEDOUT v1/fho_oscc-pnr_val.json", "open EACCES raw/features/", "read EIO .npy"],
    "check": ["open EACCES raw/features/", "open ENFILE .npy", "read ETIMEDOUT .pt", "read EIO fho_lta_val.json"],
    # last, for it takes away the lists that say that shards are whole
    "shard": [
        *("open EACCES raw/features/", "open ENFILE .npy", "read EIO .npy", "read ETIMEDOUT .pt"),
        *("open EMFILE data/shards/shard-00000.h5", "read EIO data/shards/shard-00000.h5"),
    ],
}
# what a file system may lack, and nothing needs
LACKING = ["flock ENOLCK data/", "flock ENOSYS /", "mmap ENODEV data/", "mmap EACCES raw/", "mmap ENODEV .npy"]
RUNS = ["shard", "index ar", "train_single ar", "evaluate_single ar", "check"]
TAKEN = ("data/models/single/ar/model.safetensors", "data/shards/shard-00000.h5", "metrics/single/ar.json")


def spelled(refusal: str) -> str:
    call, name, text = refusal.split()
    return f"{call} {getattr(errno, name)} {text}"


def content(folder: Path) -> dict[str, str]:
    """Every file that stages write, by its digest; but notes of checksums and the lists whose absence says that shards
    are not whole.
    """
    files = [path for top in ("data", "metrics") for path in (folder / top).rglob("*") if path.is_file()]
    kept = [path for path in files if path.name not in ("videos.csv", "files.json")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(kept)}


@pytest.fixture(scope="module")
def place(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A folder in which the stages ran, with features of both kinds, and a state of the training to resume from."""
    folder = tmp_path_factory.mktemp("refused") / "whole"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        place = Workplace(folder, small_corpus)
        one = place.features()[0]
        np.save(one.with_suffix(".npy"), place.matrix(one))
        one.unlink()
        place.edit_params(lambda params: params["runtime"].update(save_every=1))
        patch.setattr("egopack.training.state.Scratch.clear", lambda scratch: None)  # as if it was stopped at its end
        for stage in READY:
            done = place.run(*stage)
            assert done.exit_code == 0, done.output
        assert len(list(Path("data/scratch").glob("*/state.safetensors"))) == 1
        yield place


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return refusing.build(tmp_path_factory.mktemp("library"))


@pytest.mark.slow
def test_what_is_refused_is_told_and_changes_nothing(place: Workplace, library: Path) -> None:
    cases = [(stage, refusal) for stage, refusals in REFUSED.items() for refusal in refusals]
    before = content(place.folder)
    (place.folder / "data/scratch/files.json").unlink(missing_ok=True)  # else no file is read that was read before
    ran = refusing.run(library, [(str(place.folder), *split(stage), spelled(refusal)) for stage, refusal in cases])
    assert content(place.folder) == before
    wrong = []
    for (stage, refusal), (status, said) in zip(cases, ran, strict=True):
        _, name, text = refusal.split()
        errors = [line for line in said.splitlines() if line.startswith("Error: ")]
        told = len(errors) == 1 and text in errors[0] and os.strerror(getattr(errno, name)) in errors[0]
        blamed = "whole" in said or "cut short" in said or "Traceback" in said
        if status != 1 or not told or blamed:
            wrong.append(f"{stage}: {refusal}: {status}: {said}")
    assert not wrong, "\n".join(wrong)


def split(stage: str) -> tuple[str, list[str]]:
    name, *arguments = stage.split()
    return name, arguments


@pytest.mark.slow
def test_what_nothing_needs(place: Workplace, library: Path, tmp_path: Path) -> None:
    """The same bytes without locks and without mapped files."""
    before = {name: digest for name, digest in content(place.folder).items() if "scratch" not in name}
    cases = []
    for number, refusal in enumerate(LACKING):
        folder = shutil.copytree(place.folder, tmp_path / str(number))
        shutil.rmtree(folder / "data/scratch")
        for name in TAKEN:
            (folder / name).unlink()
        cases += [(str(folder), *split(stage), spelled(refusal)) for stage in RUNS]
    for (folder, stage, _, refusal), (status, said) in zip(cases, refusing.run(library, cases), strict=True):
        assert status == 0, (stage, refusal, said)
        assert stage != "check" or " 0        0           0\n" in said, said
        found = content(Path(folder))
        assert stage != "check" or {name: found[name] for name in found if "scratch" not in name} == before, refusal


@pytest.mark.parametrize(
    ("refusal", "call"),
    [
        ("flock 37 /data/", "fcntl.flock(file, fcntl.LOCK_SH)"),
        ("mmap 19 /data/", "mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)"),
        ("read 5 /data/", "os.pread(file.fileno(), 4, 0)"),
        ("open 24 data/", "open('data/models/single/ar/config.json')"),
    ],
)
def test_the_refusal_is_real(refusal: str, call: str, place: Workplace, library: Path) -> None:
    """What nothing asks for is not refused otherwise, and the tests above would pass for that."""
    program = (
        f"import fcntl, mmap, os\nfile = open('data/samples/ar/labels.json')\nos.environ['REFUSE'] = {refusal!r}\n"
    )
    environment = os.environ | {"LD_PRELOAD": str(library)}
    command = [sys.executable, "-c", program + call]
    done = subprocess.run(command, cwd=place.folder, env=environment, capture_output=True, text=True, check=False)
    assert f"[Errno {refusal.split()[1]}]" in done.stderr
