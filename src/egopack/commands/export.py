"""Export a trained model as a program of torch.export."""

from __future__ import annotations

from pathlib import Path

import click

from egopack.commands.base import Command


@click.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--task", default="", help="Which of the model's tasks; may be left out where there is one.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write, .pt2.")
def main(model: Path, task: str, out: Path) -> None:
    """Write a task of MODEL as a program that torch.export.load reads, without this package or its compiled code.

    It takes x [N, D], the rows of one video, pos [N], their seconds, and for AR and OSCC segments [S, 2] in seconds,
    for any N and S; it gives what decoding starts from: probabilities, and for MQ the segments of all nodes. It is
    compared with the network at several lengths before it is written.
    """
    import egopack
    from egopack.errors import UserError
    from egopack.inference.export import check_export, export_model, save_export

    loaded = egopack.load(model, device="cpu")
    if not task and len(loaded.tasks) == 1:
        task = loaded.tasks[0]
    if task not in loaded.tasks:
        raise UserError(f"--task: {task!r}: {model} has {', '.join(loaded.tasks)}")
    program = export_model(loaded, task)
    worst = check_export(program, loaded, task)
    save_export(out, program)
    click.echo(f"{out}: {task}, {out.stat().st_size / 1e6:.1f} MB, within {worst:.1g} of the network")
