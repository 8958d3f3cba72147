"""Count what the data holds."""

from __future__ import annotations

import click

from stages._common import MANIFEST, METRICS, SAMPLES, Stage
from stages._inputs import Reads, load

READS = Reads(("data.features", "names:tasks"))


@click.command(cls=Stage)
def main() -> str:
    """Write metrics/data.json: what was found, stored, sampled and skipped by reason, so that a change of the
    data shows: `dvc metrics diff --targets metrics/data.json`.

    Read from metrics/shards.json, data/samples/*/report.json and data/manifest/features. `python -m stages.check`
    counts the same from the raw files, before anything runs.
    """
    params = load(READS)
    from egopack.files import write_json
    from egopack.preparation.check import collect, numbers

    report = collect(SAMPLES, params.tasks, METRICS / "shards.json", MANIFEST / "features", params.data.features)
    write_json(METRICS / "data.json", numbers(report))
    return f"{METRICS / 'data.json'}: {report['stored']['videos']} videos, {len(report['tasks'])} tasks"


if __name__ == "__main__":
    main()
