"""A trained model that predicts videos: loaded from a folder, or from the Hugging Face hub."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin

from egopack.data.footage import PART_ROWS, Footage
from egopack.data.grid import Grid
from egopack.errors import UserError
from egopack.evaluation.predict import predict
from egopack.files import write_json
from egopack.inference.features import VideoRows, Videos, videos
from egopack.model.card import card
from egopack.model.checkpoint import CARD, CONFIG, load_weights, read_config
from egopack.model.config import ModelConfig, class_names
from egopack.model.network import Network
from egopack.params import check
from egopack.tasks.base import load_task

if TYPE_CHECKING:
    import pandas as pd

FIRST_COLUMNS = ("video", "task", "start", "end", "label", "score")
Stretches: TypeAlias = "np.ndarray | Sequence[Sequence[float]]"
Segments: TypeAlias = "Stretches | Mapping[str, Stretches]"


class Model(Network, PyTorchModelHubMixin, library_name="egopack", paper_url="https://arxiv.org/abs/2502.02487"):
    """A network with all that its predictions mean. `config` is what stands in config.json.

    `Model.from_pretrained` and `push_to_hub` are huggingface_hub's; `egopack.load` reads a folder and checks it.
    """

    config: ModelConfig

    def __init__(self, **fields: Any) -> None:
        """`fields`: those of `egopack.model.config.ModelConfig`, as JSON has them."""
        checked = check(ModelConfig, fields, file=CONFIG)
        super().__init__(checked.network)
        self.config = checked
        self.decode = {
            task: check(load_task(task).Decode, checked.decode.get(task, {}), file=CONFIG, key=f"decode.{task}")
            for task in checked.network.tasks
        }

    def _save_pretrained(self, save_directory: Path) -> None:
        super()._save_pretrained(save_directory)
        write_json(save_directory / CONFIG, self.config.model_dump(mode="json"))
        (save_directory / CARD).write_text(card(self.config, self.headlines()), encoding="utf-8")

    def headlines(self) -> dict[str, dict[str, str]]:
        """The headline metrics that the model has scores of, with what is better."""
        return {task: self.head(task).headline for task in sorted(self.config.scores)}

    @property
    def tasks(self) -> list[str]:
        """What the model predicts."""
        return sorted(self.config.network.tasks)

    def predict(
        self,
        features: Videos,
        *,
        segments: Segments | None = None,
        window_s: float = 8.0,
        clip_s: float = 480.0,
        seed: int = 0,
        part_rows: int = PART_ROWS,
        on_video: Callable[[str, int], object] = lambda name, rows: None,
    ) -> pd.DataFrame:
        """Predictions of one or many videos: `video`, `task`, `start` and `end` in seconds, `label`, `score`, and what
        else a task tells. On the device that the model is on.

        features: the rows of a video, [n, D]: an array, a tensor, or a file (.npy, .pt, .h5); of a model of several
            feature sets a mapping from their names to these. Of several videos a list, or a mapping from their names.
        segments: the stretches [S, 2], in seconds, that are predicted; of several videos a mapping from their names to
            these. They are actions to recognize, windows, what is observed before LTA anticipates, clips. Without,
            the whole video is predicted: in windows of `window_s` seconds, or by tasks that look at clips (MQ,
            scenarios) in clips of `clip_s`.
        seed: of what is drawn, LTA's sequences.
        part_rows: windows are predicted in parts of about so many rows; `on_video` is told each video and its rows.

        Memory does not grow with the length of a video. Windows (AR, OSCC) and stretches (PNR, LTA) come out as if the
        network had seen all of the video at once, but for rounding. A video longer than `clip_s` does not: MQ compares
        every node with the mean over its clip, and its upper levels reach minutes far.

        Raises:
            UserError: features or segments do not fit the model; one line says what it wants.
        """
        import pandas as pd

        tables, left = [], set(segments) if isinstance(segments, Mapping) else set()
        grid = self.grid()
        for video in videos(features, self.config.features):
            given = segments.get(video.name) if isinstance(segments, Mapping) else segments
            stretches = checked_segments(video, given, grid.stride / grid.fps)
            footage = Footage(video.name, len(video), grid, stretches, self.reach_s(), window_s, clip_s, part_rows)
            tables += [self.predict_task(task, footage, video, seed) for task in self.tasks]
            if trouble := video.trouble():
                warnings.warn(trouble, stacklevel=2)
            left.discard(video.name)
            on_video(video.name, len(video))
        if left:
            raise UserError(f"segments: there is no video {min(left)!r} among those to predict")
        table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(FIRST_COLUMNS))
        return table[[*FIRST_COLUMNS, *(name for name in table if name not in FIRST_COLUMNS)]]

    def predict_task(self, task: str, footage: Footage, rows: VideoRows, seed: int) -> pd.DataFrame:
        """The table of one task and one video, in order of time."""
        head = self.head(task)
        samples = [
            replace(sample, key=str(number)) for number, sample in enumerate(head.from_footage(footage, head.params))
        ]
        device = next(self.parameters()).device
        found = predict(self, task, samples, rows, self.decode[task], seed=seed, device=device)
        table = head.named(found, samples, class_names(self.config, task, self.config.network.tasks[task].labels))
        table = table.assign(video=rows.name, task=task)
        table[["start", "end"]] = table[["start", "end"]].astype(np.float64).round(3)
        return table.sort_values("start", kind="stable", ignore_index=True)

    def grid(self) -> Grid:
        """The grid of the rows that the model takes."""
        if not self.config.features:
            raise UserError(f"{CONFIG}: features: empty, so the model's grid is not known; name its feature sets there")
        return Grid(self.config.features[0].stride, self.config.features[0].fps)

    def reach_s(self) -> float:
        """How far a node of the lowest level sees, in seconds: two radii a convolution, since some count the neighbors
        of neighbors.
        """
        backbone = self.config.network.backbone
        return 2 * backbone.convs_per_level * backbone.radius_s


def checked_segments(video: VideoRows, given: Any, step_s: float) -> np.ndarray | None:
    """The stretches to predict of a video; UserError where one is none, or lies outside of the video."""
    if given is None:
        return None
    seconds = len(video) * step_s
    try:
        table = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != 2 or not len(table):
        raise UserError(f"segments: {video.name}: expected rows of a start and an end in seconds, got {given!r:.60}")
    for start, end in table.tolist():
        if not 0 <= start < end <= seconds + step_s:
            raise UserError(
                f"segments: {video.name}: [{start:g}, {end:g}] is no stretch of the video, which has {seconds:.1f} s"
            )
    return table


def load_model(folder: Path | str, device: str = "auto") -> Model:
    """The model of a folder, in evaluation mode; `device`: auto (a GPU where there is one), cpu, cuda, cuda:1.

    Raises:
        UserError: the folder is not a whole checkpoint, or its files contradict each other.
    """
    from egopack.inference.ensemble import is_ensemble, load_ensemble

    if is_ensemble(folder):
        model: Model = load_ensemble(folder)
    else:
        model = Model(**read_config(folder).model_dump(mode="json"))
        load_weights(model, folder)
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return model.eval().to(name)
