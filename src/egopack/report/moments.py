"""MQ: precision and recall, average precision by class, tIoU and length, and why detections are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from egopack.detection.average_precision import GroundTruth, Predictions, average_precision
from egopack.detection.errors import (
    KINDS,
    LEAST,
    best_predictions,
    by_length,
    error_kinds,
    gains,
    precision_over_recall,
    profile,
    take,
)
from egopack.report.classes import calibration_figure
from egopack.report.figures import Line, bars, lines, stacked
from egopack.report.page import figure
from egopack.report.results import TaskResults, short
from egopack.tasks.mq import TIOU, as_detected, ground_truth

AT = 0.5  # tIoU of all but the mean
CURVES_AT = (0.1, 0.3, 0.5)
FACTOR = 10  # DETAD looks at so many predictions for each instance
LENGTHS = 5


def moments(results: TaskResults) -> Markup:
    """All of MQ."""
    truth = ground_truth(results.samples)
    detected = {regime: as_detected(table, results.samples) for regime, table in results.predictions.items()}
    parts = [*curves(truth, detected), *averages(truth, detected), calibrated(truth, detected)]
    parts += [*errors(truth, detected), by_class(truth, detected, results.labels["moments"])]
    return Markup('<div class="figures">{}</div>').format(Markup("").join(parts))


def curves(truth: GroundTruth, detected: Mapping[str, Predictions]) -> list[Markup]:
    """Precision over recall."""
    recall = np.linspace(0, 1, 51)
    found = []
    for tiou in CURVES_AT:
        shown = [
            Line(regime, recall, precision_over_recall(truth, one, tiou, recall)) for regime, one in detected.items()
        ]
        drawn = lines(f"precision over recall at tIoU {tiou}", "recall", "precision ↑", shown, limits=(0, 1))
        found.append(figure(drawn, f"Interpolated precision over recall, mean over the classes, at tIoU {tiou} ↑"))
    return found


def averages(truth: GroundTruth, detected: Mapping[str, Predictions]) -> list[Markup]:
    """Mean average precision by tIoU and by length."""
    scored = {regime: average_precision(truth, one, TIOU) for regime, one in detected.items()}
    by_tiou = lines(
        "mAP over tIoU",
        "tIoU",
        "mAP (%) ↑",
        [Line(regime, TIOU, 100 * one.per_tiou) for regime, one in scored.items()],
        marks=True,
    )
    length = truth.segments[:, 1] - truth.segments[:, 0]
    edges = np.unique(np.quantile(length, np.linspace(0, 1, LENGTHS + 1)).round(1))
    edges[0], edges[-1] = 0, np.inf
    counts = np.histogram(length, edges)[0]
    ranges = [
        (f"from {low:g} s" if np.isinf(high) else f"{low:g}–{high:g} s") + f"\n({count})"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    lengths = {regime: list(by_length(truth, one, edges, AT)) for regime, one in detected.items()}
    by_lengths = bars(f"mAP by length at tIoU {AT}", "mAP (%) ↑", ranges, lengths, x="length of moments (how many)")
    words = f"mAP by length of the moment at tIoU {AT} ↑; what finds one of another length is left out"
    return [figure(by_tiou, "mAP by tIoU ↑"), figure(by_lengths, words)]


def precisions(results: TaskResults) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Average precision in percent as `dvc plots` draws it: mAP by regime and tIoU, and of each regime that of each
    class, the mean over the tIoUs.
    """
    truth, rows, classes = ground_truth(results.samples), [], {}
    names = results.labels["moments"]
    for regime, table in results.predictions.items():
        found = average_precision(truth, as_detected(table, results.samples), TIOU)
        panel = f"{results.title}: mAP (%) ↑"
        rows += [(panel, regime, tiou, 100 * value) for tiou, value in zip(TIOU, found.per_tiou, strict=True)]
        each = 100 * found.values.mean(axis=0)
        classes[regime] = pd.DataFrame({"class": [short(names[label]) for label in found.classes], "ap": each})
    return pd.DataFrame(rows, columns=["panel", "regime", "tiou", "value"]), classes


def by_class(truth: GroundTruth, detected: Mapping[str, Predictions], names: Sequence[str]) -> Markup:
    """Average precision of each class, the best of the last regime first."""
    scored = {regime: average_precision(truth, one, TIOU) for regime, one in detected.items()}
    last = list(scored.values())[-1]
    order = np.argsort(-last.values.mean(axis=0), kind="stable")
    each = {regime: list(100 * one.values.mean(axis=0)[order]) for regime, one in scored.items()}
    frequency = np.bincount(truth.labels, minlength=len(names))
    labels = [f"{short(names[label])} ({frequency[label]})" for label in last.classes[order]]
    drawn = bars("AP by class", "AP (%) ↑", labels, each)
    return figure(drawn, "AP by class, mean over the tIoUs ↑; in brackets how many there are")


def calibrated(truth: GroundTruth, detected: Mapping[str, Predictions]) -> Markup:
    """Whether a score is the probability that a segment is right."""
    sure = [(regime, "segments", one.scores, error_kinds(truth, one, AT) == 0) for regime, one in detected.items()]
    return calibration_figure(f"segments (right: a true positive at tIoU {AT})", sure)


def errors(truth: GroundTruth, detected: Mapping[str, Predictions]) -> list[Markup]:
    """False positives as DETAD sorts them."""
    found, lost = [], {}
    for regime, one in detected.items():
        rows, turn = best_predictions(truth, one, FACTOR)
        kept = take(one, rows)
        kinds = error_kinds(truth, kept, AT)
        shares = dict(zip(KINDS, profile(kinds, turn, FACTOR), strict=True))
        names = [f"{number}G" for number in range(1, FACTOR + 1)]
        drawn = stacked(f"{regime}: kinds of errors", "predictions by rank", "percent", names, shares)
        found.append(figure(drawn, f"{regime}: false positive profile at tIoU {AT} (DETAD)"))
        lost[regime] = list(gains(truth, kept, kinds, AT).values())
    drawn = bars(
        "gain of mAP without each kind of error", "mAP gained (points)", [k.replace(" ", "\n") for k in KINDS[1:]], lost
    )
    words = (
        f"What mAP at tIoU {AT} would gain if no prediction were wrong in this way. G is the number of instances of a "
        f"class; its {FACTOR}G best predictions count. Least overlap that is not background: {LEAST}."
    )
    return [*found, figure(drawn, words)]
