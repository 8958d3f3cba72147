"""Tables of predictions as files: JSON, CSV, subtitles, timelines."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egopack.files import atomic_path, write_json
from egopack.report.timeline import Row, Span, draw, lanes, page

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40  # segments of a row with overlaps that a timeline shows at first
DRAWN = 1000  # most of them that it has at all, the best
STEPS = 3  # of anticipated actions, those that a timeline names


def write(
    table: pd.DataFrame, out: Path, *, csv: bool, srt: bool, html: Path | None, title: str, videos: Sequence[str] = ()
) -> list[Path]:
    """Write a table of `Model.predict` as JSON to `out`, and in the other forms that are asked for; what was
    written. `videos` are all that were predicted: one without predictions is there too.
    """
    nothing: dict[str, Any] = {video: {} for video in videos}
    write_json(out, nothing | as_json(table))
    texts: dict[Path, str] = {}
    if csv:
        texts[out.with_suffix(".csv")] = table.dropna(axis=1, how="all").to_csv(index=False, lineterminator="\n")
    if srt:
        for video, own in table.groupby("video", sort=False):
            texts[out.with_suffix(f".{video}.srt")] = subtitles(own)
    if html is not None:
        empty = [video for video in videos if video not in set(table["video"])]
        figures = [*timelines(table), *(draw([], title=f"{video}: nothing", seconds=0.0) for video in empty)]
        texts[html] = page(f"Predictions of {title}", "\n".join(figures))
    for path, text in texts.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return [out, *texts]


def as_json(table: pd.DataFrame) -> dict[str, dict[str, list[dict[Hashable, Any]]]]:
    """Video -> task -> its predictions, each with what its task tells."""
    found: dict[str, dict[str, list[dict[Hashable, Any]]]] = {}
    for video, task, own in _by_task(table):
        records = own.drop(columns=["video", "task"]).to_dict("records")
        found.setdefault(video, {})[task] = [{key: _plain(value) for key, value in one.items()} for one in records]
    return found


def subtitles(table: pd.DataFrame) -> str:
    """Predictions of one video as SubRip subtitles, in order of time; an instant is shown for a second."""
    told = [(span, task) for _, task, own in _by_task(table) for span in spans_of(own)]
    blocks = []
    for number, (span, task) in enumerate(sorted(told, key=lambda one: one[0].start), start=1):
        end = span.end if span.end > span.start else span.start + 1.0
        score = "" if span.score is None else f" ({span.score:.2f})"
        blocks.append(f"{number}\n{_srt_time(span.start)} --> {_srt_time(end)}\n{task.upper()}: {span.label}{score}\n")
    return "\n".join(blocks)


def timelines(table: pd.DataFrame) -> Iterator[str]:
    """A figure for each video, with a row for each task; the slider is for rows in which segments overlap."""
    for video, of_video in table.groupby("video", sort=False):
        rows, threshold = [], 0.0
        for _, task, own in _by_task(of_video):
            spans = spans_of(own)
            best = sorted(spans, key=lambda span: -(span.score or 0.0))[:DRAWN]
            left = f" (the best {DRAWN} of {len(spans)})" if len(spans) > DRAWN else ""
            if any(lanes(best)):  # more than fit beside each other
                least = best[SHOWN].score if len(best) > SHOWN else 0.0
                threshold = max(threshold, int(100 * (least or 0.0)) / 100)
            else:
                best = [always_shown(span) for span in best]
            rows.append(Row(f"{task.upper()} predicted{left}", sorted(best, key=lambda span: span.start)))
        yield draw(rows, title=str(video), seconds=float(of_video["end"].max()), threshold=threshold)


def spans_of(table: pd.DataFrame) -> list[Span]:
    """The predictions of one task; of anticipated actions those that are expected first, by the first sequence that was
    drawn, at the stretch after which they are.
    """
    if "step" not in table:
        rows = table.to_dict("records")
        return [Span(one["start"], one["end"], readable(one["label"]), float(one["score"])) for one in rows]
    spans = []
    for (start, end), own in table[table["sequence"] == 1].groupby(["start", "end"], sort=False):
        labels = [readable(label) for label in own.sort_values("step")["label"]]
        spans.append(Span(start, end, f"then {', '.join(labels[:STEPS])}", note=", ".join(labels[STEPS:])))
    return spans


def always_shown(span: Span) -> Span:
    """The same, told its score and never hidden for it."""
    return span if span.score is None else replace(span, score=None, note=f"score {span.score:.2f}")


def readable(label: str) -> str:
    """A class as people write it; files of annotations quote some, and have no spaces."""
    return label.strip('"').replace("_", " ")


def _by_task(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The predictions of each video and task, with the columns that the task fills."""
    for (video, task), own in table.groupby(["video", "task"], sort=False):
        yield str(video), str(task), own.dropna(axis=1, how="all")


def _plain(value: Any) -> Any:
    """A number as JSON has it: whole where it is, else with six significant digits."""
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else float(f"{value:.6g}")


def _srt_time(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    rest, milliseconds = divmod(milliseconds, 1000)
    minutes, rest = divmod(rest, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d},{milliseconds:03d}"
