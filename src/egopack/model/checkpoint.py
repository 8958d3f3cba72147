"""A checkpoint: weights as safetensors, and the JSON that rebuilds the network without params.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from egopack.errors import UserError
from egopack.files import atomic_path, write_json
from egopack.model.network import Network, NetworkSpec
from egopack.params import check
from egopack.tasks.base import load_task

WEIGHTS, SPEC = "model.safetensors", "model.json"


def save_checkpoint(folder: Path | str, network: Network, reproducible: str | None = None) -> None:
    """Write the network's weights and specification into `folder`; the same network gives the same bytes.

    `reproducible` tells where the same input trains the same bytes (`egopack.runtime.reproducible`), if one knows; it
    stands in the metadata of the weights.

    The specification is written last and an earlier one removed first: where it lies, the weights are those it is of.

    Raises:
        UserError: a weight is not finite; nothing is written.
    """
    folder = Path(folder)
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    check_finite(folder / WEIGHTS, weights)
    (folder / SPEC).unlink(missing_ok=True)
    metadata = None if reproducible is None else {"reproducible": reproducible}
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(weights, metadata))  # save_file tells of a full disk by an error that is no OSError
    write_json(folder / SPEC, network.spec.model_dump(mode="json"))


def load_checkpoint(folder: Path | str) -> Network:
    """The network of a checkpoint, on the CPU, in evaluation mode.

    Raises:
        UserError: a file is missing or damaged, or weights and specification differ, or a weight is not finite;
        the message names the first.
    """
    folder = Path(folder)
    try:
        spec = check(NetworkSpec, json.loads((folder / SPEC).read_text(encoding="utf-8")), file=folder / SPEC)
        weights = load_file(folder / WEIGHTS)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise UserError(f"{folder}: not a whole checkpoint: {error}") from None
    for name, task in spec.tasks.items():
        check(load_task(name).Params, task.params, file=folder / SPEC, key=f"tasks.{name}.params")
    network = Network(spec)
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if wanted != found:
        names = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        first = "; ".join(
            f"{name}: expected {wanted.get(name, 'nothing')}, found {found.get(name, 'nothing')}" for name in names[:5]
        )
        raise UserError(f"{folder / WEIGHTS}: {len(names)} of {len(wanted)} weights differ from {SPEC}: {first}")
    check_finite(folder / WEIGHTS, weights)
    network.load_state_dict(weights)
    return network.eval()


def check_finite(source: Path | str, tensors: Mapping[str, Tensor]) -> None:
    """UserError that names `source` and the first tensors by name that hold NaN or Inf, if any does."""
    spoilt = [name for name in sorted(tensors) if not torch.isfinite(tensors[name]).all()]
    if spoilt:
        raise UserError(
            f"{source}: {len(spoilt)} of {len(tensors)} tensors hold NaN or Inf: {', '.join(spoilt[:5])}; "
            "they are of no use, train again, with a lower lr if need be"
        )
