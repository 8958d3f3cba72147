"""Tasks about a time: how far LTA is off the further it looks, and how far PNR's key frame is off."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from egopack.labels import UNLABELLED
from egopack.report.figures import Line, lines
from egopack.report.page import figure
from egopack.report.results import TaskResults
from egopack.tasks.lta import PARTS, edit_distance_at
from egopack.tasks.pnr import FRAMES

BIN_S = 0.25


def anticipation(results: TaskResults) -> Markup:
    """LTA: edit distance of the first z actions, over z."""
    parts = []
    for part in PARTS:
        truth = np.stack([sample.targets[f"{part}s"] for sample in results.samples])
        if (truth == UNLABELLED).all():
            continue
        horizons = np.arange(1, truth.shape[1] + 1)
        shown = [
            Line(
                regime,
                horizons,
                edit_distance_at(np.array([np.stack(list(rows)) for rows in predictions[part].to_list()]), truth),
            )
            for regime, predictions in results.predictions.items()
        ]
        alt = f"{part}s: edit distance over the horizon"
        drawn = lines(alt, "actions looked ahead, z", "edit distance (0 to 1) ↓", shown, marks=True, whole=True)
        caption = f"{part}s: edit distance of the first z anticipated actions over z, best of the candidates ↓"
        parts.append(figure(drawn, caption))
    return Markup('<div class="figures">{}</div>').format(Markup("").join(parts))


def keyframes(results: TaskResults) -> Markup:
    """PNR: how often its key frame is how far off."""
    errors = {regime: keyframe_errors(results, regime) for regime in results.predictions}
    width = max(1.0, float(np.quantile(np.abs(np.concatenate(list(errors.values()))), 0.99)))
    edges = np.arange(-np.ceil(width / BIN_S), np.ceil(width / BIN_S) + 1) * BIN_S
    signed = []
    for regime, error in errors.items():
        share = 100 * np.histogram(np.clip(error, edges[0], edges[-1]), edges)[0] / len(error)
        signed.append(Line(regime, np.repeat(edges, 2)[1:-1], np.repeat(share, 2)))
    within = np.arange(0, edges[-1] + BIN_S / 2, BIN_S / 2)
    found = [
        Line(regime, within, [100 * float(np.mean(np.abs(error) <= reach)) for reach in within])
        for regime, error in errors.items()
    ]
    medians = ", ".join(f"{regime} {np.median(np.abs(error)):.2f} s" for regime, error in errors.items())
    drawn = lines("key frame errors", "error in seconds, negative: too early", "percent of windows", signed)
    late = lines("share within a time", "at most this far off, in seconds", "percent of windows ↑", found)
    words = f"How far the key frame is off, in steps of {BIN_S} s; what is further counts at the ends. Median ↓: "
    return Markup('<div class="figures">{}{}</div>').format(
        figure(drawn, words + medians), figure(late, f"Windows whose key frame, one of {FRAMES}, is near enough ↑")
    )


def keyframe_errors(results: TaskResults, regime: str) -> np.ndarray:
    """Seconds from the true key frame to the predicted one, by the official rule, [windows]."""
    known = [sample.metadata for sample in results.samples]
    pnr, start = (np.array([one[name][0] for one in known]) for name in ("pnr", "window"))
    fps = np.array([one["fps"][0] for one in known])
    return (results.predictions[regime]["frame"].to_numpy() - (pnr - start)) / fps
