"""Turn a published checkpoint into one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from stages._common import Stage

if TYPE_CHECKING:
    from egopack.model.network import NetworkSpec


@click.command(cls=Stage)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write the checkpoint into.")
def main(file: Path, out: Path) -> None:
    """Turn the published Hier-EgoPack checkpoint FILE (.pth) into OUT: model.safetensors, config.json
    and a model card.

    No code of the file is run: only its tensors are read. A place that git ignores is data/imported/<name>.

    What is printed are the settings of params.yaml that fit its sizes. With them, a training starts from it where its
    `extras` say start_from: OUT. To evaluate it as it is, say epochs: 0 and warmup_epochs: 0 as well.

    \b
    To have it help novel tasks in place of a pack of your own:
      multi: {epochs: 0, warmup_epochs: 0, extras: {start_from: OUT}, ...}
    and `dvc repro`: every pack then is the part of it that has the pack's tasks, and prototypes are built from that.
    A pack with a task that it lacks needs some epochs, or to be left out of `packs`. Where there is one checkpoint for
    each pack, write {pack} for the pack's name: start_from: data/imported/{pack}
    """
    from egopack.model.checkpoint import save_checkpoint
    from egopack.published.checkpoint import import_published

    network = import_published(file)
    save_checkpoint(out, network)
    spec = network.spec
    click.echo(f"{out}: {spec.input_size} features, {spec.levels} levels of {spec.backbone.hidden}, settings that fit:")
    click.echo(yaml.safe_dump(settings(spec), sort_keys=False), nl=False)


def settings(spec: NetworkSpec) -> dict[str, Any]:
    """What params.yaml says of a network of these sizes."""
    tasks = {
        name: {"levels": task.params["levels"], "model": task.params["model"]} for name, task in spec.tasks.items()
    }
    backbone = spec.backbone.model_dump(mode="json", exclude_unset=True)
    return {"backbone": backbone, "multi": {"levels": spec.levels}, "tasks": tasks}


if __name__ == "__main__":
    main()
