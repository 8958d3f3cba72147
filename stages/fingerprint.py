"""Note what the raw data is, so that a changed file reruns what depends on it."""

from __future__ import annotations

import click

from stages.common import MANIFEST, Stage, load, raw_root


@click.command(cls=Stage)
def main() -> None:
    """Write data/manifest: names, sizes and checksums of the raw files, never where they are.

    The raw root is $EGO4D_ROOT, else `data.root` in params.yaml. Fails with a list when a file is missing.
    """
    params = load()
    from egopack.ego4d.manifest import fingerprint
    from egopack.files import write_json

    sources = sorted({block["annotations"] for block in params.tasks.values() if "annotations" in block})
    manifests = fingerprint(raw_root(params), params.data.version, list(params.data.features), sources)
    for name, manifest in manifests.items():
        write_json(MANIFEST / f"{name}.json", manifest)
    click.echo(f"{MANIFEST}: {', '.join(manifests)}")


if __name__ == "__main__":
    main()
