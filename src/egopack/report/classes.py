"""Tasks that name a class: which ones are taken for which, and whether probabilities are to be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from egopack.labels import UNLABELLED
from egopack.report.figures import Line, lines
from egopack.report.page import confusion, figure
from egopack.report.results import TaskResults, short

SHOWN = 20  # classes of a confusion matrix, the most frequent; the others are one
BINS = 10


def actions(results: TaskResults) -> Markup:
    """AR: confusions of verbs and nouns, and how sure it is."""
    parts, sure = [], []
    for regime, part, truth, best, score in called(results):
        names = results.labels[f"{part}s"]
        counts, shown = confused(truth, best, names)
        rest = f", the {SHOWN} most frequent" if len(shown) < len(names) else ""
        caption = f"{regime}: {part}s{rest}, percent of each row; the frame is what is right"
        parts.append((regime, confusion(counts, shown, caption)))
        sure.append((regime, part, score, best == truth))
    known_parts = dict.fromkeys(one[1] for one in sure)
    found = [calibration_figure(part, [one for one in sure if one[1] == part]) for part in known_parts]
    return Markup('<div class="figures">{}</div>').format(Markup("").join(found)) + folded(parts)


def changes(results: TaskResults) -> Markup:
    """OSCC: confusions of the two classes, and whether its probability of a change is to be believed."""
    parts, sure = [], []
    for regime, truth, probability in changed(results):
        counts, shown = confused(truth, (probability > 0.5).astype(np.int64), results.labels["changes"])
        parts.append(confusion(counts, shown, f"{regime}: percent of each row; the frame is what is right"))
        sure.append((regime, "a state change", probability, truth == 1))
    drawn = calibration_figure("a state change", sure)
    return Markup('<div class="figures">{}{}</div>').format(drawn, Markup("").join(parts))


def called(results: TaskResults) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, np.ndarray]]:
    """AR, of each regime, of verbs and of nouns: truth, best class and its score, of the segments with a label."""
    for regime, predictions in results.predictions.items():
        for part in ("verb", "noun"):
            truth = np.concatenate([sample.targets[f"{part}s"] for sample in results.samples])
            known = truth != UNLABELLED
            if known.any():
                best, score = (
                    np.array([ranked[0] for ranked in predictions[name]])[known] for name in (part, f"{part}_score")
                )
                yield regime, part, truth[known], best, score


def changed(results: TaskResults) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """OSCC, of each regime: truth and probability of a change, of the windows with a label."""
    truth = np.concatenate([sample.targets["changes"] for sample in results.samples])
    known = truth != UNLABELLED
    for regime, predictions in results.predictions.items():
        yield regime, truth[known], predictions["probability"].to_numpy()[known]


def answers(results: TaskResults) -> dict[str, pd.DataFrame]:
    """What AR or OSCC called each item in each regime, as `dvc plots` counts it: by names like verbs_egopack a table
    with the columns actual and predicted.
    """
    found = {}
    if results.module == "ar":
        for regime, part, truth, best, _ in called(results):
            found[f"{part}s_{regime}"] = _in_words(truth, best, results.labels[f"{part}s"])
    else:
        for regime, truth, probability in changed(results):
            found[regime] = _in_words(truth, (probability > 0.5).astype(np.int64), results.labels["changes"])
    return found


def _in_words(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    place, shown = places(truth, names)
    words = np.array(shown)
    return pd.DataFrame({"actual": words[place[truth]], "predicted": words[place[predicted]]})


def folded(parts: Sequence[tuple[str, Markup]]) -> Markup:
    """The last regime's matrices, and those of the others to unfold."""
    regimes = list(dict.fromkeys(regime for regime, _ in parts))
    open_one = regimes[-1]
    html = Markup("").join(content for regime, content in parts if regime == open_one)
    for other in regimes[:-1]:
        inside = Markup("").join(content for regime, content in parts if regime == other)
        html += Markup("<details><summary>Confusions of {}</summary>{}</details>").format(other, inside)
    return html


def confused(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Counts [truth, predicted] of the SHOWN most frequent classes, most first, and the names of rows and columns; all
    other classes are the last, if there are any.
    """
    place, shown = places(truth, names)
    size = len(shown)
    return np.bincount(place[truth] * size + place[predicted], minlength=size * size).reshape(size, size), shown


def places(truth: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The row of each class in a confusion matrix, and the names of the rows: SHOWN classes, then all others."""
    frequency = np.bincount(truth, minlength=len(names))
    order = np.argsort(-frequency, kind="stable")[:SHOWN]
    place = np.full(len(names), len(order))
    place[order] = np.arange(len(order))
    return place, [short(names[index]) for index in order] + ["all others"] * (len(names) > len(order))


def calibration(score: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean score and share of right ones in each of BINS equal bins of the score that has any, and the expected
    calibration error: how far they are apart, in the mean over all.
    """
    bins = np.minimum((score * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    filled = count > 0
    said = np.bincount(bins, score, minlength=BINS)[filled] / count[filled]
    was = np.bincount(bins, right, minlength=BINS)[filled] / count[filled]
    return said, was, float(np.sum(np.abs(said - was) * count[filled]) / max(count.sum(), 1))


def calibration_figure(what: str, sure: Sequence[tuple[str, str, np.ndarray, np.ndarray]]) -> Markup:
    """How often it was right over how sure it was, a line for each regime."""
    shown, errors = [Line("as sure as right", [0, 1], [0, 1], look="chance")], []
    for regime, _, score, right in sure:
        said, was, error = calibration(score, right)
        shown.append(Line(regime, said, was))
        errors.append(f"{regime} {error:.3f}")
    alt = f"{what}: share that is right over the probability that was given"
    drawn = lines(alt, f"probability given to {what}", "share that is right", shown, marks=True, limits=(0, 1))
    return figure(drawn, f"Calibration of {what}; expected calibration error, 0 to 1 ↓: {', '.join(errors)}")
