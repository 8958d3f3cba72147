"""Turn the features of whole videos into HDF5 shards."""

from __future__ import annotations

import click

from stages._common import METRICS, SCRATCH, SHARDS, VIDEOS, Stage, original, raw_root
from stages._inputs import Reads, load, stage_code

READS = Reads(("data.source", "data.features", "data.storage", "data.shard_mb"))


@click.command(cls=Stage)
def main() -> str:
    """Write data/shards: the feature rows of all videos, side by side on the grid of the first feature set; and
    data/videos.csv: how many rows each of them has.

    An interrupted run resumes where it was. Videos with a damaged file are counted and named in metrics/shards.json.
    """
    params = load(READS)
    from egopack.checksums import NOTE, Checksums
    from egopack.ego4d.layout import feature_uids
    from egopack.ego4d.skips import Skips
    from egopack.files import write_json
    from egopack.preparation.shards import Written, write_lengths, write_shards
    from egopack.runtime.progress import counting, progress

    VIDEOS.unlink(missing_ok=True)  # where it lies, the shards are whole
    root, data, skips = raw_root(params), params.data, Skips()
    uids = feature_uids(root, list(data.features))
    with progress(len(uids), "shards", "video") as bar, Checksums(original(SCRATCH) / NOTE) as checksums:
        summary = write_shards(
            root,
            data.features,
            uids,
            SHARDS,
            skips=skips,
            storage=data.storage,
            written=Written(original(SCRATCH) / "shards.json", stage_code("shard")),
            checksums=checksums,
            shard_bytes=data.shard_mb << 20,
            progress=counting(bar),
        )
    write_lengths(SHARDS, VIDEOS)
    write_json(METRICS / "shards.json", summary | {"skipped": skips.to_dict()})
    return f"{SHARDS}: " + ", ".join(f"{value} {name}" for name, value in summary.items() if name != "files")


if __name__ == "__main__":
    main()
