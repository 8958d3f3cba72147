"""Turn a published checkpoint into one of ours."""

from __future__ import annotations

from pathlib import Path

import click

from stages.common import Stage


@click.command(cls=Stage)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write the checkpoint into.")
def main(file: Path, out: Path) -> None:
    """Turn the published Hier-EgoPack checkpoint FILE (.pth) into OUT/model.safetensors and OUT/model.json.

    No code of the file is run: only its tensors are read. Name OUT in params.yaml as `start_from` of the `extras` of a
    training to start from it.
    """
    from egopack.training.checkpoint import save_checkpoint
    from egopack.training.published import import_published

    network = import_published(file)
    save_checkpoint(out, network)
    spec = network.spec
    click.echo(f"{out}: {spec.levels} levels of {spec.backbone.hidden}, tasks {', '.join(spec.tasks)}")


if __name__ == "__main__":
    main()
