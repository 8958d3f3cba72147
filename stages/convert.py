"""Turn exports of annotation tools into a table of segments."""

from __future__ import annotations

from pathlib import Path

import click

from stages._common import Stage


@click.command(cls=Stage)
@click.argument("exports", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Table to write, segments.csv.")
@click.option("--column", "given", multiple=True, metavar="TRACK=COLUMN", help="What a tier, control or attribute is.")
@click.option("--fps", type=click.FloatRange(1e-3, 1e5), help="Rate of the videos, where times are frames.")
def main(exports: tuple[Path, ...], out: Path, given: tuple[str, ...], fps: float | None) -> str:
    """Turn what people label with into the table that `data.source: table` reads. IN are files or folders of them:
    ELAN's .eaf, exports of Label Studio (JSON or JSON-MIN) and projects of VIA 3.

    Tiers, controls and attributes whose names are columns (verb, noun, label, state_change, pnr, split, id) become
    these; where none is, all of them are labels. Segments of one video with the same start and end share a row. What is
    left out of a file is said in a line. Nothing is written before all files were read.

    \b
      python -m stages.convert annotations/ --column actions=label --out data/raw/own/segments.csv
    """
    from egopack.errors import UserError
    from egopack.footage.exports.convert import convert, files_in, in_words, read_export, write_segments

    named = dict(one.rpartition("=")[::2] for one in given)
    if "" in named:
        raise UserError(f"--column {named['']}: expected TRACK=COLUMN, as actions=label")
    found = {path: read_export(path, fps) for path in files_in(exports)}
    counts, rows = convert(found, named)
    write_segments(out, rows)
    for path, count in counts.items():
        click.echo(f"{path}: {count} segments{in_words(found[path].skips)}")
    videos = len({row["video"] for row in rows})
    return f"{out}: {len(rows)} segments of {videos} videos"


if __name__ == "__main__":
    main()
