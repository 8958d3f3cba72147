"""Whether what the files give twice agrees: single items that do not are counted, a whole set of them is a problem."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from egopack.ego4d.agreement import Twice, near, no_cause
from egopack.ego4d.skips import Skipped
from egopack.ego4d.sources.videos import VIDEOS, Footage
from egopack.params import FeatureSet, Tolerable
from egopack.preparation.survey import Video

Problem = tuple[Tolerable, str]


def judged(given: Iterable[Twice], tolerated: Collection[str]) -> tuple[Skipped, list[Problem]]:
    """The single items that differ, by what is given twice, and the sets that do as a whole and are not tolerated."""
    differing: Skipped = {}
    problems: list[Problem] = []
    for twice in given:
        counted = twice.differing()
        if counted:
            differing[twice.what] = counted
            whole = twice.whole_set()
            if whole and twice.kind not in tolerated:
                problems.append((twice.kind, whole))
    return differing, problems


def of_videos(
    name: str, one: FeatureSet, rows: Mapping[str, int], footage: Mapping[str, Footage], uids: Iterable[str]
) -> list[Twice]:
    """The rows of videos and their durations, frames a second as declared and as they are, durations and frames."""
    lengths = Twice(
        "rows", f"feature rows of {name} and durations in {VIDEOS}", slack=_slack(one), cause=_fits(name, one)
    )
    rates = Twice(
        "rate",
        f"data.features.{name}.fps and frames per second in {VIDEOS}",
        "frames a second",
        cause=lambda ratio: f"data.features.{name}.fps is to be {near(one.fps / ratio)}",
    )
    durations = Twice("seconds", f"durations and frames in {VIDEOS}", slack=1.0)  # a sound track may be longer
    for uid in uids:
        about = footage.get(uid)
        if about is not None:
            lengths.add(uid, rows[uid] * one.stride / one.fps if uid in rows else None, about.seconds)
            rates.add(uid, one.fps, about.fps)
            durations.add(uid, about.duration_s, about.seconds if about.frames is not None else None)
    return [lengths, rates, durations]


def of_sets(features: Mapping[str, FeatureSet], videos: Sequence[Video], footage: Mapping[str, Footage]) -> list[Twice]:
    """The rows of every feature set and the durations of their videos; where these are not known, what most of the
    sets say of them.
    """
    found = []
    for k, (name, one) in enumerate(features.items()):
        rows = {video.uid: video.found[k].rows for video in videos if video.found[k].rows}
        lengths, *_ = of_videos(name, one, rows, footage, rows)
        cause = _fits(name, one) if len(features) > 2 else no_cause
        others = Twice("rows", f"feature rows of {name} and of the other sets", slack=_slack(one), cause=cause)
        for video in videos:
            if len(features) > 1 and video.uid in rows and video.uid not in footage:
                said = [
                    file.rows * each.stride / each.fps
                    for file, each in zip(video.found, features.values(), strict=True)
                    if file.rows
                ]
                others.add(video.uid, rows[video.uid] * one.stride / one.fps, statistics.median(said))
        found += [lengths, others]
    return found


def _slack(one: FeatureSet) -> float:
    """Seconds of a row that is there or not for what is left over, and of the window that the last row needs."""
    return (one.stride + one.window) / one.fps


def _fits(name: str, one: FeatureSet) -> Callable[[float], str]:
    """The likely cause of rows that last `ratio` times as long as their videos."""

    def cause(ratio: float) -> str:
        stride = round(one.stride / ratio) if ratio > 0 else 0
        fits = f"rows fit a stride of {stride}, data.features.{name}.stride is {one.stride}"
        early = f"the features end after {ratio:.0%} of each video"
        whole = stride > 0 and abs(one.stride / ratio / stride - 1) < 0.02
        if ratio > 1:
            return fits if whole else "the features are of other or longer videos"
        return f"{fits}, or {early}" if whole else early

    return cause
