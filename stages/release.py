"""Make the trained models ready to leave the house."""

from __future__ import annotations

import click

from stages._common import CODE, MANIFEST, METRICS, MODELS, RELEASE, Stage
from stages._inputs import Reads, load

READS = Reads(("data.source", "data.version", "data.features", "packs", "helped_by", "tasks"), tasks=("all",))


@click.command(cls=Stage)
def main() -> str:
    """Write data/release/{single,multi,egopack}/KEY: every trained model with its scores, decode settings, the values
    of all params that its training read, digests of code and data, and a model card.

    The layout is that of huggingface_hub's PyTorchModelHubMixin. egopack.load takes such a folder anywhere:
    `egopack predict data/release/egopack/mq features.npy --out out.json`.
    """
    params = load(READS)
    from egopack.ego4d.manifest import rendered
    from egopack.files import read_json
    from egopack.inference.release import about_data, release
    from egopack.tasks.base import check_task

    known = about_data(params.data, rendered(MANIFEST, params.data.features))
    blocks = {task: check_task(task, block) for task, block in params.tasks.items()}
    decode = {task: block.decode.model_dump(mode="json") for task, block in blocks.items()}
    names = [*(("single", task) for task in blocks), *(("egopack", task) for task in params.helped_by)]
    for regime, key in [*names, *(("multi", pack) for pack in params.packs)]:
        scores = read_json(METRICS / regime / f"{key}.json")
        members = params.packs[key] if regime == "multi" else [key]
        release(
            MODELS / regime / key,
            RELEASE / regime / key,
            decode=decode,
            scores=scores if regime == "multi" else {key: scores},
            note=CODE / f"train_{regime}" / f"{key}.json",
            data=[
                *(MANIFEST / "features" / f"{name}.json" for name in params.data.features),
                *{MANIFEST / f"{blocks[task].annotations}.json" for task in members},
            ],
            params=known,
        )
    return f"{RELEASE}: {len(names) + len(params.packs)} models"


if __name__ == "__main__":
    main()
