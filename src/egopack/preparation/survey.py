"""What the headers of feature files tell, before any row is read: which videos can be stored, and what is wrong with
the others.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypedDict, TypeVar

from egopack.checksums import Checksums
from egopack.ego4d import layout
from egopack.ego4d.features import DamagedFile, aligned_rows, read_features
from egopack.ego4d.skips import Skipped, Skips
from egopack.errors import UserError
from egopack.files import printable
from egopack.params import FeatureSet

HEADERS_AHEAD = 64
ODD_NAME = "feature file whose name is not printable text in UTF-8"
TWO_FILES = "video with two feature files, of which one is used"
Kind = Literal["missing", "wrong size", "damaged"]
KINDS: tuple[Kind, ...] = ("missing", "wrong size", "damaged")  # of what can be wrong with a file
FileReport = TypedDict("FileReport", {"found": int, "missing": Skipped, "wrong size": Skipped, "damaged": Skipped})
T = TypeVar("T")
J = TypeVar("J")


@dataclass(frozen=True)
class FeatureFile:
    """What a file's header tells, and its checksum where that was asked for; `kind`, `reason` and `item` say what is
    wrong with it, if anything.
    """

    path: Path | None = None
    checksum: str = ""
    rows: int = 0
    width: int = 0
    kind: Kind | None = None
    reason: str = ""
    item: str = ""
    doubled: bool = False  # another file of the video lies beside it


@dataclass(frozen=True)
class Video:
    """A video's feature files, one for each set in their order, and its rows on the common grid (0: not usable)."""

    uid: str
    found: tuple[FeatureFile, ...]
    length: int = 0
    problem: tuple[str, str] | None = None  # a reason and an item to skip

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths, of a video without a problem."""
        return tuple(file.path for file in self.found if file.path is not None)

    @property
    def checksums(self) -> tuple[str, ...]:
        return tuple(file.checksum for file in self.found)


def survey(
    pool: ThreadPoolExecutor,
    root: Path,
    features: Mapping[str, FeatureSet],
    uids: Iterable[str],
    checksums: Checksums | None = None,
) -> list[Video]:
    """Every video of `uids`, in their order; of the files headers are read, and rows only for `checksums`."""
    return list(ahead(pool, lambda uid: _probe(root, features, uid, checksums), uids, HEADERS_AHEAD))


def check_widths(features: Mapping[str, FeatureSet], videos: Sequence[Video]) -> None:
    """UserError where the files of a set are not as wide as its `size` says: then it is `size` that is wrong."""
    for k, (name, one) in enumerate(features.items()):
        widths = Counter(video.found[k].width for video in videos if video.found[k].width)
        width = widths.most_common(1)[0][0] if widths else one.size
        if width != one.size:
            key = f"data.features.{name}.size"
            raise UserError(f"{key} is {one.size}, but the files are {width} wide; set it to {width}")


def count_skips(videos: Iterable[Video], skips: Skips) -> None:
    """Count the videos that cannot be used, and what is doubtful of the others."""
    for video in videos:
        if video.problem:
            skips.add(*video.problem)
        for file in video.found:
            if file.doubled:
                skips.add(TWO_FILES, file.item)


def count_files(features: Mapping[str, FeatureSet], videos: Sequence[Video]) -> dict[str, FileReport]:
    """How many files each feature set has, and what is wrong with others, by kind of problem.

    Missing is what another set has: a video that no set has is not among `videos`.
    """
    found = dict.fromkeys(features, 0)
    wrong = {name: {kind: Skips() for kind in KINDS} for name in features}
    for video in videos:
        for name, file in zip(features, video.found, strict=True):
            found[name] += file.path is not None
            if file.kind:
                wrong[name][file.kind].add(file.reason, file.item)
    return {
        name: {
            "found": found[name],
            "missing": of["missing"].to_dict(),
            "wrong size": of["wrong size"].to_dict(),
            "damaged": of["damaged"].to_dict(),
        }
        for name, of in wrong.items()
    }


def _probe(root: Path, features: Mapping[str, FeatureSet], uid: str, checksums: Checksums | None) -> Video:
    found = tuple(_header(root, name, one, uid, checksums) for name, one in features.items())
    wrong = min((file for file in found if file.kind), key=lambda file: file.kind == "wrong size", default=None)
    if wrong:
        return Video(uid, found, problem=(wrong.reason, wrong.item))
    length = len(aligned_rows(list(features.values()), [file.rows for file in found])[0])
    return Video(uid, found, length, None if length else ("feature files that share no moment", uid))


def _header(root: Path, name: str, one: FeatureSet, uid: str, checksums: Checksums | None) -> FeatureFile:
    paths = layout.feature_files(root, name, uid)
    if not paths:
        return FeatureFile(kind="missing", reason=f"video without a feature file of {name}", item=printable(uid))
    path, doubled = paths[0], len(paths) > 1
    item = f"{name}/{printable(path.name)}"
    if printable(uid) != uid:
        return FeatureFile(path, kind="damaged", reason=ODD_NAME, item=item, doubled=doubled)
    try:
        rows, width = read_features(path, one.array).shape
        mark = checksums.of(path) if checksums else ""
    except DamagedFile as error:
        return FeatureFile(path, kind="damaged", reason=str(error), item=item, doubled=doubled)
    wrong = width != one.size
    if wrong:
        reason = "feature file of another width than its set"
        return FeatureFile(path, mark, rows, width, "wrong size", reason, item, doubled)
    return FeatureFile(path, mark, rows, width, item=item, doubled=doubled)


def ahead(pool: ThreadPoolExecutor, job: Callable[[J], T], items: Iterable[J], count: int) -> Generator[T, None, None]:
    """Results of `job` in the order of `items`, at most `count` of them begun before they are asked for.

    When it is closed, no job is running.
    """
    rest = iter(items)
    begun: deque[Future[T]] = deque(pool.submit(job, item) for item in islice(rest, count))
    try:
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(job, item) for item in islice(rest, 1))
            yield result
    finally:
        for future in begun:
            future.cancel()
        wait(begun)
