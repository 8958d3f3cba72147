"""Timelines of validation clips: of every task the truth and what each regime predicted, on one axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from egopack.data.grid import Grid
from egopack.data.samples import Sample
from egopack.errors import UserError
from egopack.labels import UNLABELLED
from egopack.report.results import Results, TaskResults, seconds_in_video, short
from egopack.report.timeline import Row, Span, draw

RANKED = {"best": 0.0, "median": 0.5, "worst": 1.0}
MOST, LEAST = 30, 0.05  # segments of a clip that MQ shows, and their score
BY_ACTIONS = "ar"  # whose samples are the clips that are shown, and rank them
TRUTH = "truth"
Spans = dict[str, list[Span]]  # truth or regime -> segments, in seconds of the clip


@dataclass(frozen=True)
class Clip:
    """A stretch of a validation video, in seconds of it; `why` says why it is shown."""

    key: str
    video_uid: str
    start: float
    end: float
    why: str


def timelines(results: Results, named: Sequence[str]) -> Markup:
    """A figure for the best, the median and the worst clip, by what EgoPack calls their actions, and for each that is
    named by its id or its video's.
    """
    figures = []
    for clip in choose(results, [*RANKED, *named]):
        rows = [
            Row(f"{found.title} · {name}", spans)
            for task, found in results.tasks.items()
            for name, spans in spans_of(task, results, clip).items()
        ]
        title = f"{clip.why}: clip {clip.key} of video {clip.video_uid}"
        figures.append(draw(rows, title=title, seconds=clip.end - clip.start))
    return Markup("").join(Markup(one) for one in figures)


def choose(results: Results, wanted: Sequence[str]) -> list[Clip]:
    """The clips that are wanted, by their place in RANKED or by an id.

    Raises:
        UserError: there is no validation clip or video of that id.
    """
    task = BY_ACTIONS if BY_ACTIONS in results.tasks else next(iter(results.tasks))
    found = results.tasks[task]
    scores = shares_right(found) if task == BY_ACTIONS else [0.0] * len(found.samples)
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], found.samples[index].key))
    clips = []
    for name in wanted:
        if name in RANKED and order:
            index = order[round(RANKED[name] * (len(order) - 1))]
            said = f", {scores[index]:.0%} of verbs and nouns right" if task == BY_ACTIONS else ""
            clips.append(_clip(found.samples[index], results.grid, f"{name}{said}"))
            continue
        own = [sample for sample in found.samples if name in (sample.key, sample.video_uid)]
        if not own and order:
            raise UserError(f"params.yaml: report.clips: {name!r} is no validation clip or video of {task}")
        clips += [_clip(sample, results.grid, "named in params") for sample in own]
    return clips


def _clip(sample: Sample, grid: Grid, why: str) -> Clip:
    start = seconds_in_video(sample, grid)
    return Clip(sample.key, sample.video_uid, start, start + len(sample) * grid.stride / grid.fps, why)


def shares_right(results: TaskResults) -> list[float]:
    """Of each clip the share of verbs and nouns that the last regime has right; those without a label take no part."""
    predictions = list(results.predictions.values())[-1]
    found, begin = [], 0
    for sample in results.samples:
        rows = predictions.iloc[begin : begin + len(sample.targets["verbs"])]
        begin += len(rows)
        right = [
            ranked[0] == truth
            for part in ("verb", "noun")
            for ranked, truth in zip(rows[part], sample.targets[f"{part}s"], strict=True)
            if truth != UNLABELLED
        ]
        found.append(float(np.mean(right)) if right else 0.0)
    return found


def spans_of(task: str, results: Results, clip: Clip) -> Spans:
    """The rows of a task; none for a task that has no timeline."""
    kinds: Mapping[str, Callable[[Results, Clip], Spans]] = {
        "ar": actions,
        "oscc": changes,
        "lta": anticipated,
        "pnr": keyframes,
        "mq": moments,
    }
    return kinds[task](results, clip) if task in kinds else {}


def actions(results: Results, clip: Clip) -> Spans:
    """AR: the verb and noun of each segment."""
    found = results.tasks["ar"]
    spans: Spans = {TRUTH: [], **{regime: [] for regime in found.predictions}}
    for sample, rows, shift in _inside(found, results.grid, clip, "verbs"):
        assert sample.segments is not None
        verbs, nouns = sample.targets["verbs"], sample.targets["nouns"]
        for row, (start, end), verb, noun in zip(rows, sample.segments + shift, verbs, nouns, strict=True):
            truth = action_name(found, verb, noun)
            spans[TRUTH].append(Span(start, end, truth))
            for regime, table in found.predictions.items():
                one = table.iloc[row]
                label = action_name(found, one["verb"][0], one["noun"][0])
                score = float(one["verb_score"][0] * one["noun_score"][0])
                spans[regime].append(Span(start, end, label, score, verdict(label, truth)))
    return spans


def changes(results: Results, clip: Clip) -> Spans:
    """OSCC: whether a state changes within each window."""
    found = results.tasks["oscc"]
    spans: Spans = {TRUTH: [], **{regime: [] for regime in found.predictions}}
    names = found.labels["changes"]
    for sample, rows, shift in _inside(found, results.grid, clip, "changes"):
        assert sample.segments is not None
        for row, (start, end), change in zip(rows, sample.segments + shift, sample.targets["changes"], strict=True):
            truth = "unknown" if change == UNLABELLED else names[change]
            spans[TRUTH].append(Span(start, end, truth))
            for regime, table in found.predictions.items():
                probability = float(table["probability"].iloc[row])
                label, score = names[probability > 0.5], max(probability, 1 - probability)
                spans[regime].append(Span(start, end, label, score, verdict(label, truth)))
    return spans


def anticipated(results: Results, clip: Clip) -> Spans:
    """LTA: what comes next, looked at from the middle of the clip; times are those of the actions that came."""
    found = results.tasks["lta"]
    own = [index for index, sample in enumerate(found.samples) if sample.key.rpartition("#")[0] == clip.key]
    if not own:
        return {}
    index = own[len(own) // 2]
    sample = found.samples[index]
    truth = [action_name(found, *pair) for pair in zip(sample.targets["verbs"], sample.targets["nouns"], strict=True)]
    when = [(step, start, end) for step, (start, end) in enumerate(sample.metadata["future"] - clip.start)]
    when = [(step, start, end) for step, start, end in when if np.isfinite(start)]
    spans: Spans = {TRUTH: [Span(start, end, truth[step], None, f"{step + 1} ahead") for step, start, end in when]}
    for regime, table in found.predictions.items():
        verbs, nouns = (np.stack(list(table[part].iloc[index]))[:, 0] for part in ("verb", "noun"))
        labels = [action_name(found, *pair) for pair in zip(verbs, nouns, strict=True)]
        spans[regime] = [
            Span(start, end, labels[step], None, f"{step + 1} ahead, {verdict(labels[step], truth[step])}")
            for step, start, end in when
        ]
    return spans


def verdict(label: str, truth: str) -> str:
    """Whether a label is right, or what would be."""
    return "right" if label == truth else f"truth: {truth}"


def keyframes(results: Results, clip: Clip) -> Spans:
    """PNR: the key frame of each window."""
    found = results.tasks["pnr"]
    spans: Spans = {TRUTH: [], **{regime: [] for regime in found.predictions}}
    for row, sample in enumerate(found.samples):
        fps, start = float(sample.metadata["fps"][0]), float(sample.metadata["window"][0])
        true = float(sample.metadata["pnr"][0]) / fps - clip.start
        if sample.video_uid != clip.video_uid or not 0 <= true <= clip.end - clip.start:
            continue
        spans[TRUTH].append(Span(true, true, "key frame"))
        for regime, table in found.predictions.items():
            when = (start + float(table["frame"].iloc[row])) / fps - clip.start
            spans[regime].append(Span(when, when, "key frame", None, f"{when - true:+.2f} s from the true one"))
    return spans


def moments(results: Results, clip: Clip) -> Spans:
    """MQ: the best segments."""
    found = results.tasks["mq"]
    names = found.labels["moments"]
    spans: Spans = {TRUTH: [], **{regime: [] for regime in found.predictions}}
    for sample in found.samples:
        shift = seconds_in_video(sample, results.grid) - clip.start
        if sample.video_uid != clip.video_uid:
            continue
        for (start, end), label in zip(sample.targets["segments"] + shift, sample.targets["classes"], strict=True):
            spans[TRUTH].append(Span(start, end, short(names[label])))
        for regime, table in found.predictions.items():
            rows = table[(table["key"] == sample.key) & (table["score"] >= LEAST)]
            rows = rows.sort_values("score", ascending=False, kind="stable").head(MOST)
            columns = (rows[name] for name in ("start", "end", "label", "score"))
            spans[regime] += [
                Span(start + shift, end + shift, short(names[label]), score)
                for start, end, label, score in zip(*columns, strict=True)
            ]
    length = clip.end - clip.start
    return {
        name: [_cut(span, length) for span in row if span.end > 0 and span.start < length]
        for name, row in spans.items()
    }


def _cut(span: Span, length: float) -> Span:
    return Span(max(span.start, 0.0), min(span.end, length), span.label, span.score, span.note)


def _inside(found: TaskResults, grid: Grid, clip: Clip, targets: str) -> Iterator[tuple[Sample, range, float]]:
    """Samples of the clip's video that overlap it, with the rows of their segments in the predictions, and what is to
    be added to their times.
    """
    begin = 0
    for sample in found.samples:
        rows = range(begin, begin + len(sample.targets[targets]))
        begin = rows.stop
        shift = seconds_in_video(sample, grid) - clip.start
        length = len(sample) * grid.stride / grid.fps
        if sample.video_uid == clip.video_uid and shift < clip.end - clip.start and shift + length > 0:
            yield sample, rows, shift


def action_name(found: TaskResults, verb: int, noun: int) -> str:
    """A verb and a noun in words."""
    parts = (("verbs", verb), ("nouns", noun))
    return " ".join("?" if label == UNLABELLED else short(found.labels[kind][label]) for kind, label in parts)
