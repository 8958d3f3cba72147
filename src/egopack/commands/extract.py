"""Extract features of videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from egopack.commands.base import Command

if TYPE_CHECKING:
    from egopack.params import FeatureSet

TINY = "egopack.inference.encoders:tiny"


@click.command(cls=Command)
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write VIDEO.npy into.")
@click.option("--encoder", default=TINY, show_default=True, help="module:function, or a TorchScript or .pt2 file.")
@click.option("--model", type=click.Path(path_type=Path), help="Take the grid and the width that this model wants.")
@click.option("--set", "named", default="", help="Which of the model's feature sets; the first by default.")
@click.option("--stride", default=16, show_default=True, help="Row i starts at frame stride * i.")
@click.option("--window", default=16, show_default=True, help="Frames that a row covers.")
@click.option("--fps", default=30.0, show_default=True, help="Rate at which frames are taken.")
@click.option("--batch", default=8, show_default=True, help="Windows that are encoded at once.")
@click.option(
    "--short-side", default=256, show_default=True, help="Frames are scaled to it; 0 leaves them as they are."
)
@click.option("--device", default="cpu", show_default=True, help="Where the encoder runs: cpu, cuda, cuda:1.")
def main(
    videos: tuple[Path, ...],
    out: Path,
    encoder: str,
    model: Path | None,
    named: str,
    stride: int,
    window: int,
    fps: float,
    batch: int,
    short_side: int,
    device: str,
) -> None:
    """Make features of VIDEOS (files or folders) by an encoder: OUT/VIDEO.npy, with its grid beside it.

    An encoder takes uint8 frames [B, window, H, W, 3] and gives rows [B, D]. The default one has fixed small weights
    and knows nothing: it is there to try things with. What was stopped goes on where it was.

    \b
      egopack extract kitchen.mp4 --encoder mine:encode --model data/models/egopack/mq --out features
      egopack predict data/models/egopack/mq features --out out.json --html timeline.html
    """
    from egopack.inference.encoders import load_encoder
    from egopack.inference.extract import extract, videos_in
    from egopack.inference.video import Video, count_windows
    from egopack.params import FeatureSet
    from egopack.runtime.progress import progress

    grid = FeatureSet.model_construct(stride=stride, window=window, fps=fps, size=0)
    if model is not None:
        grid = grid_of(model, named)
    encode = load_encoder(encoder, device)
    for path in videos_in(list(videos)):
        video, target = Video(path, grid.fps), out / f"{path.stem}.npy"
        with progress(count_windows(video.expected, grid.stride, grid.window), path.name, "row") as bar:
            count = extract(
                *(video, target, encode, grid),
                named=encoder,
                batch=batch,
                short_side=short_side,
                on_rows=bar.update,
            )
        click.echo(f"{target}: " + ("is there already" if count is None else f"{count} rows of {path}"))
        if video.undecodable:
            click.echo(f"Warning: {path}: {video.undecodable} packets that cannot be decoded were left out", err=True)


def grid_of(model: Path, named: str) -> FeatureSet:
    """The feature set of a model that is named, or its first."""
    from egopack.errors import UserError
    from egopack.model.checkpoint import read_config

    sets = read_config(model).features
    found = [one for one in sets if not named or one.name == named]
    if not found:
        known = ", ".join(one.name for one in sets) or "none"
        raise UserError(f"--set: {named!r}: {model} has the feature sets {known}")
    return found[0]
