"""Train two tasks for some steps in a process of its own: python -m tests.support.train_reproducibly MODE

Prints as JSON what the result is made with, and its SHA-256; with that of distances to few and to many prototypes.
"""

from __future__ import annotations

import hashlib
import json
import sys

from egopack.runtime.reproducible import kept, settle


def main(mode: str) -> None:
    settle(mode)
    import torch

    from egopack.nn.interaction import nearest_prototypes
    from egopack.params import OptimizerParams, RuntimeParams
    from egopack.runtime.device import set_up
    from egopack.training.loaders import train_loader
    from egopack.training.loop import train
    from tests.support import small

    device = set_up(RuntimeParams.model_validate({"reproducible": mode, "device": "cpu"}), 0)
    tasks = ("pnr", "mq")
    network = small.network_of(*tasks, backbone=small.backbone_params(64, dropout=0.1))
    loaders = {
        name: train_loader(
            name,
            network.head(name).params,
            small.samples_of(name, 16),
            small.Features(),
            batch_size=8,
            radius_s=2.0,
            seed=0,
        )
        for name in tasks
    }
    train(network, loaders, OptimizerParams(epochs=2, warmup_epochs=0, lr=1e-2), device=device)
    weights = hashlib.sha256()
    for value in network.state_dict().values():
        weights.update(value.numpy().tobytes())
    generator = torch.Generator().manual_seed(0)
    for rows, prototypes, distance in ((7, 5, "l2"), (300, 60, "l2"), (300, 60, "cosine")):
        sides = (torch.randn(count, 64, generator=generator) for count in (rows, prototypes))
        for found in nearest_prototypes(*sides, 4, distance):
            weights.update(found.numpy().tobytes())
    said = {"kept": kept(mode), "threads": torch.get_num_threads(), "loops": torch.backends.cpu.get_cpu_capability()}
    print(json.dumps(said | {"weights": weights.hexdigest()}))


if __name__ == "__main__":
    main(sys.argv[1])
