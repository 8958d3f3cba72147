"""EPIC-KITCHENS-100's challenges from one end to the other: trained models -> scores in words, submissions as files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from egopack.challenges.epic_recognition import PARTS
from egopack.challenges.epic_submissions import SupervisionLevels, write_submission
from egopack.data.loader import FeatureRows
from egopack.data.splits import read_split
from egopack.ego4d.layout import TEST
from egopack.errors import UserError
from egopack.evaluation import epic
from egopack.evaluation.predict import predict
from egopack.files import write_json
from egopack.footage.epic import Asked, read_asked
from egopack.model.checkpoint import load_checkpoint
from egopack.params import Params
from egopack.runtime.progress import progress
from egopack.tasks.base import check_task, module_of

SCORES = "epic_scores.json"


@dataclass(frozen=True)
class Models:
    """Where the trained models are and what they predict by: `trained` gives the checkpoint of a task."""

    params: Params
    file: Path  # of the params
    trained: Callable[[str], Path]
    samples: Path
    features: FeatureRows
    device: torch.device

    def task(self, module: str, annotations: str) -> str:
        """The task of this module that reads these annotations; UserError where there is none."""
        for name, block in self.params.tasks.items():
            if block.annotations == annotations and module_of(name) == module:
                return name
        raise UserError(f"{self.file}: tasks: none is a {module} with annotations: {annotations}; see params.epic.yaml")


def answer(models: Models, root: Path, out: Path, *, test: bool) -> tuple[str, list[Path]]:
    """Predict the validation split, or with `test` the test split, and write to `out`; scores in words, and what was
    written.

    Raises:
        UserError: the data is not EPIC-KITCHENS-100's, or has no test split; params do not say what a submission has
            to.
    """
    if models.params.data.source != "epic":
        raise UserError(f"{models.file}: data.source: {models.params.data.source!r}, but these are epic's challenges")
    levels = _levels(models, needed=test)
    asked, split = read_asked(root, TEST if test else "val"), TEST if test else "val"
    recognized = _recognize(models, asked, split)
    text = f"{asked.file.name}: {len(asked.segments)} segments of {len(epic.videos_of(asked))} videos"
    text += f", {recognized.unknown} of them without features\n" if recognized.unknown else "\n"
    tables = [_detected(models, annotations, split) for annotations in ("verbs", "nouns")]
    found, scores = epic.detect(tables[0], tables[1], asked, models.params.submission.segments)
    written = []
    if not test:
        report = {
            "action_recognition": epic.score_recognition(recognized, asked),
            "action_detection": epic.score_detection(found, scores, asked),
        }
        write_json(out / SCORES, report)
        text, written = text + in_words(report), [out / SCORES]
    if levels is not None:
        prefix = "" if test else "validation_"
        for submission in (
            epic.submit_recognition(recognized, asked, levels),
            epic.submit_detection(found, scores, asked, levels),
        ):
            written.append(out / f"{prefix}{submission['challenge']}.zip")
            write_submission(written[-1], submission)
    return text, written


def _levels(models: Models, *, needed: bool) -> SupervisionLevels | None:
    said = models.params.submission.model_dump(include={"sls_pt", "sls_tl", "sls_td"})
    lacking = [name for name, level in said.items() if level is None]
    if not lacking:
        return SupervisionLevels(said["sls_pt"], said["sls_tl"], said["sls_td"])
    if needed:
        raise UserError(
            f"{models.file}: submission.{lacking[0]}: missing; a submission says it, 0 to 5 by the challenge's scale"
        )
    return None


def _recognize(models: Models, asked: Asked, split: str) -> epic.Recognized:
    task = models.task("ar", "actions")
    samples = read_split(models.samples / task, split)
    network = load_checkpoint(models.trained(task))
    with progress(len(samples), f"recognize by {models.trained(task)}", "video") as bar:
        return epic.recognize(network, task, samples, models.features, asked, device=models.device, on_batch=bar.update)


def _detected(models: Models, annotations: str, split: str) -> pd.DataFrame:
    task, params = models.task("mq", annotations), models.params
    samples = [one for one in read_split(models.samples / task, split) if len(one)]
    if not samples:
        raise UserError(f"{models.samples / task}: no sample of {split}; its annotations or features are not there")
    decode = check_task(task, params.tasks[task], models.file).decode
    network = load_checkpoint(models.trained(task))
    with progress(len(samples), f"detect by {models.trained(task)}", "video") as bar:
        return predict(
            network,
            task,
            samples,
            models.features,
            decode,
            seed=params.seed,
            device=models.device,
            on_batch=bar.update,
        )


def in_words(report: dict[str, Any]) -> str:
    """Both challenges' scores as two small tables, in percent."""
    recognition, detection = report["action_recognition"], report["action_detection"]
    lines = [["accuracy", *(f"{part} {top}" for top in ("top-1", "top-5") for part in PARTS)]]
    for name, scores in recognition.items():
        cells = [scores.get(part, [])[place : place + 1] for place in (0, 1) for part in PARTS]
        lines.append([name, *(f"{cell[0]:.2f}" if cell else "" for cell in cells)])
    tables = [lines, [["mAP at tIoU", "0.1", "0.2", "0.3", "0.4", "0.5", "mean"]]]
    for part, scores in detection.items():
        values = [*scores["map_at_0.1_to_0.5"], scores["average"]]
        tables[1].append([part, *(f"{value:.2f}" for value in values)])
    text = ""
    for rows in tables:
        wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        text += "\n" + "".join(
            "  ".join([row[0].ljust(wide[0]), *map(str.rjust, row[1:], wide[1:])]).rstrip() + "\n" for row in rows
        )
    return text
