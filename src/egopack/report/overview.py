"""What the report tells of all tasks alike: the comparison, learning curves, the data, the
settings; a study, where one ran; what each stage took.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup
from pydantic import BaseModel

from egopack.errors import UserError
from egopack.evaluation.comparison import ARROWS, COLUMNS, unit
from egopack.evaluation.paired import differences
from egopack.files import read_json
from egopack.params.study import Question, load_study
from egopack.report.figures import Interval, Line, cells, intervals, lines
from egopack.report.page import digits, figure, table
from egopack.report.results import REGIMES, Results
from egopack.tasks.base import load_task

if TYPE_CHECKING:
    import pandas as pd

    from egopack.params import Params

# arXiv 2502.02487; METHOD.md, section 7
PAPER = {
    "ar.verb_top1": (26.93, 26.31, 27.30),
    "ar.noun_top1": (33.50, 33.90, 34.65),
    "oscc.accuracy": (75.22, 74.79, 75.60),
    "lta.verb_ed": (0.728, 0.730, 0.725),
    "lta.noun_ed": (0.752, 0.754, 0.741),
    "pnr.error_s": (0.62, 0.62, 0.61),
    "mq.map": (20.2, 18.5, 21.0),
}
MODELS = ("data", "synthetic", "backbone", "interaction", "prototypes", "multi", "comparison", "runtime")
NO_RESULT = (
    "data.root",
    "data.shard_mb",
    *(f"runtime.{name}" for name in ("device", "threads", "save_every", "tensorboard")),
)

STUDIED = ("question", "variant", "seed", "regime", "task", "metric", "value")  # of a study's file of runs


def comparison(results: Results) -> Markup:
    """Every headline metric by regime, this run's and the paper's."""
    header = ["metric", "unit", *COLUMNS, *(f"{regime}, paper*" for regime in REGIMES)]
    rows = []
    for name, values in results.comparison.items():
        task, metric = name.split(".", 1)
        found = results.tasks[task]
        own = [digits(values[column]) for column in COLUMNS]
        paper = [digits(value) for value in PAPER.get(name, ())] or [""] * len(REGIMES)
        arrow = ARROWS[found.headline[metric]]
        rows.append([f"{found.title} {metric} {arrow}", unit(metric), *own, *paper])
    words = (
        "Validation scores; arrows say which way is better. chance knows the labels' frequencies and nothing else; "
        "single is a task alone, multi one network for the pack "
        f"{results.multi_pack or '(none)'!r}, egopack a task helped by its pack. "
    )
    words += "One run with one seed: a difference of a point or two may be chance. "
    words += "* The paper's numbers are of other data, Ego4D v1 with EgoVLP features, and stand here for scale alone."
    return figure(table(header, rows, "comparison of the regimes"), words)


def curves(results: Results) -> Markup:
    """Loss of each task over the epochs, in every regime, and validation metrics where training looked at them."""
    parts = []
    for task, found in results.curves.items():
        title = results.tasks[task].title
        shown = [Line(regime, *_series(rows, f"{task}/")) for regime, rows in found.items() if rows]
        alt = f"{title}: training loss over epochs"
        caption = f"{title}: mean training loss of each epoch, the sum of its terms ↓"
        parts.append(figure(lines(alt, "epoch", "loss", shown, marks=True, whole=True), caption))
        for metric, better in results.tasks[task].headline.items():
            column = f"val/{task}/{metric}"
            scores = [
                Line(regime, *_series(rows, column)) for regime, rows in found.items() if rows and column in rows[0]
            ]
            if scores:
                label = f"{metric} ({unit(metric)}) {ARROWS[better]}"
                drawn = lines(f"{title}: {metric} over epochs", "epoch", label, scores, marks=True, whole=True)
                parts.append(figure(drawn, f"{title}: validation {metric} after each epoch {ARROWS[better]}"))
    return Markup('<div class="figures">{}</div>').format(Markup("").join(parts))


def curve_tables(results: Results) -> dict[str, pd.DataFrame]:
    """Of each task what `dvc plots` draws of its training in one plot: a panel of the training loss, and one of each
    headline metric where training looked at it, with a line for each regime.
    """
    found = {}
    for task, regimes in results.curves.items():
        own = results.tasks[task]
        panels = {f"{own.title}: training loss ↓": f"{task}/"}
        for metric, better in own.headline.items():
            panels[f"{own.title}: validation {metric} ({unit(metric)}) {ARROWS[better]}"] = f"val/{task}/{metric}"
        points = [
            (panel, regime, int(epoch), value)
            for panel, prefix in panels.items()
            for regime, rows in regimes.items()
            if rows and any(name.startswith(prefix) for name in rows[0])
            for epoch, value in zip(*_series(rows, prefix), strict=True)
        ]
        if points:
            found[task] = pd.DataFrame(points, columns=["panel", "regime", "epoch", "value"])
    return found


def _series(rows: Sequence[Mapping[str, str]], prefix: str) -> tuple[list[float], list[float]]:
    """Epochs and the sum of the columns with a prefix, where there are any."""
    names = [name for name in rows[0] if name.startswith(prefix)]
    kept = [row for row in rows if all(row[name] for name in names)]
    return [float(row["epoch"]) for row in kept], [sum(float(row[name]) for name in names) for row in kept]


def data(results: Results) -> Markup:
    """What was found, used and skipped."""
    counts = results.counts
    rows = []
    for task, splits in counts["tasks"].items():
        for split, found in splits.items():
            listed = ", ".join(f"{number:,} {what}" for what, number in found["found"].items())
            skipped = "; ".join(f"{reason}: {number:,}" for reason, number in found["skipped"].items())
            rows.append([results.tasks[task].title, split, listed, f"{found['samples']:,}", skipped or "none"])
    stored = counts["stored"]
    lost = "; ".join(f"{reason}: {number:,}" for reason, number in stored["skipped"].items()) or "none"
    sets = "; ".join(
        f"{name}: " + ", ".join(f"{number:,} {what}" for what, number in found.items())
        for name, found in counts["features"].items()
    )
    words = (
        f"Stored: {stored['videos']:,} videos, {stored['rows']:,} rows. Skipped there: {lost}. Feature sets: {sets}."
    )
    header = ["task", "split", "listed", "samples", "left out"]
    return figure(table(header, rows, "samples and what was left out"), words)


def settings(params: Params, blocks: Mapping[str, BaseModel]) -> Markup:
    """Params that results depend on and that differ from their defaults, or have none; `blocks` are the tasks'."""
    values: dict[str, Any] = {"seed": params.seed, "packs": dict(params.packs), "helped_by": dict(params.helped_by)}
    values["labelled"] = {task: budget.model_dump(mode="json") for task, budget in params.labelled.items()}
    defaults: dict[str, Any] = {}
    parts: dict[str, BaseModel] = {name: getattr(params, name) for name in MODELS}
    for prefix, model in (parts | {f"tasks.{task}": block for task, block in blocks.items()}).items():
        values[prefix] = model.model_dump(mode="json")
        defaults |= flat(defaults_of(model, f"{prefix}."))
    shown = {key: value for key, value in flat(values).items() if key not in NO_RESULT and value != {}}
    rows = [[key, _text(value), _text(defaults[key]) if key in defaults else "—"] for key, value in shown.items()]
    changed = [row for row in rows if row[1] != row[2]]
    words = (
        f"{len(changed)} params whose values are not the defaults, of {len(rows)} that results depend on; "
        "a dash: there is no default."
    )
    return figure(table(["param", "value", "default"], changed, "params that differ from their defaults"), words)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return found


def defaults_of(model: BaseModel, prefix: str = "") -> dict[str, Any]:
    """The default of every field of a model and of the models within, by dotted key, where there is one."""
    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), f"{prefix}{name}"
        if isinstance(value, BaseModel):
            found |= defaults_of(value, f"{key}.")
        elif isinstance(value, Mapping) and any(isinstance(each, BaseModel) for each in value.values()):
            for part, each in value.items():
                found |= defaults_of(each, f"{key}.{part}.")
        elif not field.is_required():
            found[key] = field.get_default(call_default_factory=True, validated_data={})
    return found


def study(runs: Path, plan: Path) -> Markup | None:
    """A table for each question of the plan that has runs; None where no study ran.

    Raises:
        UserError: the file of runs lacks a column, or the plan cannot be read.
    """
    import pandas as pd

    if not runs.is_file():
        return None
    rows = pd.read_csv(runs)
    lacking = [name for name in STUDIED if name not in rows]
    if lacking:
        raise UserError(f"{runs}: no column {', '.join(lacking)}; python -m stages.study writes {', '.join(STUDIED)}")
    parts = []
    for name, question in load_study(plan).questions.items():
        own = rows[rows["question"] == name]
        if not len(own):
            continue
        compared = differences(own, question)
        found = [
            [
                f"{row.task} {row.metric} {ARROWS[load_task(row.task).headline[row.metric]]}",
                unit(row.metric),
                *(row.better, digits(row.mean_better), row.than, digits(row.mean_than), row.seeds),
                interval(row.difference, row.half_width),
            ]
            for row in compared.itertuples()
        ]
        header = ["metric", "unit", "better?", "mean", "than", "mean", "seeds", "gain [95% interval]"]
        words = f"{question.about} Seeds: {question.seeds}. A positive gain is in favor of the first, whichever way "
        words += "the metric counts; intervals are paired by seed and widened for the number of metrics."
        parts.append(figure(table(header, found, name), words))
        picture = drawn(name, compared, question)
        if picture:
            parts.append(figure(picture, f"{question.about} Gains and their intervals; above zero is better."))
    return Markup("").join(parts) if parts else None


def drawn(name: str, compared: pd.DataFrame, question: Question) -> Markup:
    """The picture of a question's differences (`differences`); empty where it has none, or nothing ran."""
    if question.figure is None or not len(compared):
        return Markup("")
    x, y = question.figure.x, question.figure.y
    gains: dict[str, list[Interval]] = {}
    for row in compared.itertuples():
        title = f"{row.task.upper()} {row.metric}" + (
            f" ({unit(row.metric)})" if question.figure.kind == "lines" else ""
        )
        what, look = difference_name(row.better, row.than, whole=len(question.variants) > 1)
        at = row.at[x]
        one = Interval(what, at if isinstance(at, int | float) else 0.0, row.difference, row.half_width, look)
        gains.setdefault(title, []).append(one)
    alt = f"{name}: gains with 95% intervals over {x}"
    if question.figure.kind == "lines":
        return intervals(alt, x, gains)
    shown = {
        (f"{row.task.upper()} {row.metric}", str(row.at[x])): Interval("", 0, row.difference, row.half_width)
        for row in compared.itertuples()
    }
    return cells(alt, x, y or "", [str(value) for value in question.each[x]], list(gains), shown)


def difference_name(better: str, than: str, whole: bool = True) -> tuple[str, str]:
    """A difference in words, without the values of `each`, and the regime whose color it has; not `whole`, the regimes
    alone.
    """
    sides = [
        (variant.split(" ")[0], regime.split("/")[0])
        for variant, _, regime in (side.partition(":") for side in (better, than))
    ]
    (variant, regime), (other, base) = sides
    same = variant == other
    text = f"{regime} − {base}" if same else f"{variant} {regime} − {other} {base}"
    return f"{variant}: {text}" if same and whole else text, regime


def interval(mean: float, half_width: float) -> str:
    """A mean and its interval."""
    return f"{mean:+.3g} [{mean - half_width:+.3g}, {mean + half_width:+.3g}]"


def costs(folder: Path) -> Markup:
    """A table of the stages' times and memory, the dearest first."""
    found = {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}
    order = sorted(found, key=lambda name: (-found[name]["seconds"], name))
    rows = [[name, f"{found[name]['seconds']:.1f}", f"{found[name]['memory_gb']:.2f}"] for name in order]
    total = sum(one["seconds"] for one in found.values())
    words = f"The last time that each of these stages ran on this machine; together {total / 60:.1f} min."
    return figure(table(["stage", "time (s)", "memory, most (GB)"], rows, "what each stage took"), words)
