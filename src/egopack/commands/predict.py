"""Predict videos by a trained model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egopack.commands.base import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egopack.model.config import NamedFeatures


@click.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("features", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file to write predictions to.")
@click.option("--csv", is_flag=True, help="Write OUT as a table too, OUT with .csv.")
@click.option("--srt", is_flag=True, help="Write subtitles too: OUT with .VIDEO.srt.")
@click.option("--html", type=click.Path(path_type=Path), help="Draw timelines into this file, which opens offline.")
@click.option("--segments", type=click.Path(path_type=Path), help="JSON or CSV file of the stretches to predict.")
@click.option("--window", default=8.0, show_default=True, help="Length of the windows without --segments, in seconds.")
@click.option("--clip", default=480.0, show_default=True, help="Longest clip that is looked at as one, in seconds.")
@click.option("--min-score", default=0.0, show_default=True, help="Leave out what scores less.")
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1; auto is a GPU where there is one."
)
@click.option("--seed", default=0, show_default=True, help="Of what is drawn: LTA's sequences.")
def main(
    model: Path,
    features: tuple[str, ...],
    out: Path,
    csv: bool,
    srt: bool,
    html: Path | None,
    segments: Path | None,
    window: float,
    clip: float,
    min_score: float,
    device: str,
    seed: int,
) -> None:
    """Predict the videos whose FEATURES are given by MODEL, the folder of a checkpoint.

    FEATURES are .npy, .pt or .h5 files, or folders of them. For a model of several feature sets, write each as
    NAME=FILE: those of one video have the same file name.

    Segments: {"VIDEO": [[start, end], ...]} as JSON, or a CSV with the columns video, start, end; seconds. A column
    `at` in place of the two are starting points, each predicted from the --window before it.

    \b
      egopack predict data/models/egopack/mq features.npy --out out.json --html timeline.html
    """
    import egopack
    from egopack.inference import outputs, segments_file
    from egopack.runtime.progress import progress

    loaded = egopack.load(model, device)
    named = named_features(features, loaded.config.features)
    given = None if segments is None else segments_file.read_segments(segments, list(named), window)
    with progress(len(named), "predict", "video") as bar, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        table = loaded.predict(
            named, segments=given, window_s=window, clip_s=clip, seed=seed, on_video=lambda name, rows: bar.update(1)
        )
    for one in caught:
        click.echo(f"Warning: {one.message}", err=True)
    kept = table[table["score"] >= min_score]
    title, names = loaded.config.name or model.name, list(named)
    written = outputs.write(kept, out, csv=csv, srt=srt, html=html, title=title, videos=names)
    left = f", {len(table) - len(kept)} of lower score left out" if len(kept) < len(table) else ""
    click.echo(f"{', '.join(map(str, written))}: {len(kept)} predictions of {len(named)} videos{left}")


def named_features(given: Sequence[str], sets: Sequence[NamedFeatures]) -> dict[str, Any]:
    """The files of each video, by the videos' names; of several feature sets a mapping from their names."""
    from egopack.errors import UserError
    from egopack.inference.features import SUFFIXES, videos_of_file

    found: dict[str, Any] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        known = bool(equals) and name in {one.name for one in sets}
        path = Path(rest if known else text)
        paths = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES) if path.is_dir() else [path]
        if not paths:
            raise UserError(f"{path}: a folder without {', '.join(SUFFIXES)} files")
        for one in paths:
            for video, matrix in videos_of_file(one):
                value = found.setdefault(video, {}) if known else None
                if value is None and video in found:
                    raise UserError(f"{one}: a second video {video!r}; predict them one after the other")
                if value is None:
                    found[video] = matrix
                else:
                    value[name] = matrix
    return found
