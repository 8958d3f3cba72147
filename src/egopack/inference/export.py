"""A model as a program of torch.export: for any number of rows, without this package or its compiled code.

What a program gives is what decoding starts from (`Task.readout`): probabilities, and for MQ the segments of all nodes.
What is left to whoever calls it are loops whose length depends on data: suppression of segments that overlap, and LTA's
drawing of sequences.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from egopack.data.batch import collate
from egopack.data.footage import Footage
from egopack.data.samples import Sample
from egopack.errors import UserError
from egopack.files import atomic_path
from egopack.inference.model import Model
from egopack.inference.regular import regular_batch
from egopack.nn.sums import portable

MOST_ROWS, MOST_SEGMENTS = 1 << 16, 1 << 12
TOLERANCE = 1e-4  # between a program and the network


class Program(nn.Module):
    """A task of a model, on one video: x [N, D] at pos [N] seconds, and for tasks that pool over segments these [S, 2]
    -> what decoding starts from, by name.
    """

    def __init__(self, model: Model, task: str) -> None:
        super().__init__()
        self.network, self.task = model, task
        grid, spec = model.grid(), model.config.network
        self.levels = model.head(task).params.levels
        self.radius_s, self.step_s = spec.backbone.radius_s, grid.stride / grid.fps

    def forward(self, x: Tensor, pos: Tensor, segments: Tensor | None = None) -> dict[str, Tensor]:
        batch = regular_batch(x, pos, segments, levels=self.levels, radius_s=self.radius_s, step_s=self.step_s)
        with portable():
            return self.network.head(self.task).readout(self.network(self.task, batch), batch)


def export_model(model: Model, task: str) -> ExportedProgram:
    """The program of one of the model's tasks, on the CPU.

    Raises:
        UserError: its convolution is another than the paper's, which alone is a sum that can be written out.
    """
    conv = model.config.network.backbone.conv
    if conv.name != "tdgc" or not conv.signed or conv.aggr != "mean":
        raise UserError(f"config.json: network.backbone.conv: {conv.name}: only signed tdgc with aggr mean is exported")
    samples = probes(model, task, [fewest_rows(model, task) + 64])
    program, arguments = Program(model.eval().cpu(), task).eval(), inputs(model, samples[0])
    rows = None if is_fixed(model, task) else Dim("rows", min=fewest_rows(model, task), max=MOST_ROWS)
    shapes: list[Any] = [None if rows is None else {0: rows}] * 2
    if len(arguments) == 3:
        shapes.append({0: Dim("segments", min=1, max=MOST_SEGMENTS)})
    with torch.no_grad():
        program(*arguments)  # what is remembered between calls is made of real numbers, not of traced ones
        return torch.export.export(program, arguments, dynamic_shapes=tuple(shapes))


def check_export(program: ExportedProgram, model: Model, task: str) -> float:
    """The largest difference between a program and the network itself, by its own graphs and compiled code, at several
    lengths.

    Raises:
        UserError: it is more than rounding.
    """
    run, worst = program.module(), 0.0
    fewest = fewest_rows(model, task)
    lengths = [64] if is_fixed(model, task) else [fewest, fewest + 1, fewest + 17, 2 * fewest + 300]
    for sample in probes(model, task, lengths):
        arguments = inputs(model, sample)
        with torch.no_grad():
            batch = collate(
                [sample],
                [arguments[0].numpy()],
                levels=model.head(task).params.levels,
                radius_s=model.config.network.backbone.radius_s,
            )
            expected = model.head(task).readout(model(task, batch), batch)
            found = run(*arguments)
        for name, value in expected.items():
            worst = max(worst, float((found[name] - value).abs().max()))
    if not worst < TOLERANCE:
        raise UserError(f"{task}: the program differs from the network by {worst:.2g}")
    return worst


def fewest_rows(model: Model, task: str) -> int:
    """How many rows a program needs: two nodes on the highest level."""
    return int(2 ** (model.head(task).params.levels - 1)) + 1


def probes(model: Model, task: str, lengths: list[int]) -> list[Sample]:
    """A sample of a video of each length."""
    head = model.head(task)
    return [
        head.from_footage(Footage("video", length, model.grid(), part_rows=MOST_ROWS), head.params)[0]
        for length in lengths
    ]


def is_fixed(model: Model, task: str) -> bool:
    """Whether samples of the task have the same number of rows however long the video is."""
    short, long = probes(model, task, [40, 400])
    return len(short) == len(long) and len(probes(model, task, [4])[0]) == len(short)


def inputs(model: Model, sample: Sample) -> tuple[Tensor, ...]:
    """Rows drawn for a sample, its positions, and the segments that it has."""
    width = model.config.network.input_size
    drawn = np.random.default_rng(len(sample)).standard_normal((len(sample), width)).astype(np.float32)
    found = [torch.from_numpy(drawn), torch.from_numpy(np.ascontiguousarray(sample.pos, np.float32))]
    return tuple(found if sample.segments is None else [*found, torch.from_numpy(sample.segments)])


def save_export(path: Path, program: ExportedProgram) -> None:
    """Write a program to a .pt2 file, which torch.export.load reads."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.export.save(program, file)
