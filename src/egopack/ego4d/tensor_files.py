"""What a file of one plain tensor by `torch.save` looks like: others might take endless time or memory to load."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path

MOST_PICKLED = 1 << 16  # bytes that describe one tensor; in fact a few hundred
MOST_TUPLES = 20  # in a description; to look at tuples of tuples of ... may take two to this power
TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
PICKLES_OF_OLD = 5  # before torch 1.6: magic number, version, system, tensor, storages


def check_plain(path: Path) -> bool:
    """Whether the file is a zip archive, as since torch 1.6.

    Raises:
        ValueError: it has an entry that is compressed, or describes more than one tensor.
        Exception: whatever zipfile and pickletools raise for damage.
    """
    with path.open("rb") as file:
        start = file.read(MOST_PICKLED)
    zipped = start.startswith(b"PK")
    _check_zipped(path) if zipped else _check_old(start)
    return zipped


def _check_zipped(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("a compressed entry, which torch.save never writes")
        for entry in archive.infolist():
            if entry.filename.endswith("/data.pkl"):
                if entry.file_size > MOST_PICKLED:
                    raise ValueError("more than one tensor")
                _check_pickles(io.BytesIO(archive.read(entry)), 1)


def _check_old(start: bytes) -> None:
    if start[257:262] == b"ustar":
        raise ValueError("a tar archive of torch 0.1")
    _check_pickles(io.BytesIO(start), PICKLES_OF_OLD)


def _check_pickles(file: io.BytesIO, count: int) -> None:
    tuples = sum(code.name in TUPLES for _ in range(count) for code, _, _ in pickletools.genops(file))
    if tuples > MOST_TUPLES:
        raise ValueError("more than one tensor")
