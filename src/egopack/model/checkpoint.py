"""A checkpoint: weights as safetensors, what rebuilds the network and tells what it predicts as JSON, a model card.

The layout is that of huggingface_hub's PyTorchModelHubMixin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from egopack.errors import UserError, refused
from egopack.files import atomic_path, write_json
from egopack.model.card import card
from egopack.model.config import About, ModelConfig
from egopack.model.network import Network, outline
from egopack.params import check
from egopack.tasks.base import load_task

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
EARLIER = "model.json"  # of version 0.2


def save_checkpoint(
    folder: Path | str, network: Network, reproducible: str | None = None, known: About | None = None
) -> None:
    """Write the network's weights, what is `known` of it and a model card into `folder`; the same network gives the
    same bytes.

    `reproducible` tells where the same input trains the same bytes (`egopack.runtime.reproducible`), if one knows; it
    stands in the metadata of the weights.

    Raises:
        UserError: a weight is not finite; nothing is written.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    check_finite(Path(folder) / WEIGHTS, weights)
    metadata = None if reproducible is None else {"reproducible": reproducible}
    config = ModelConfig(network=network.spec, **(known or About()).model_dump())
    write_checkpoint(folder, save(weights, metadata), config, card(config))


def write_checkpoint(folder: Path | str, weights: bytes, config: ModelConfig, text: str) -> None:
    """Write a checkpoint of these bytes of weights, `text` being its card.

    The config is written last and an earlier one removed first: where it lies, the weights are those it is of.
    """
    folder = Path(folder)
    (folder / CONFIG).unlink(missing_ok=True)
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(weights)  # save_file tells of a full disk by an error that is no OSError
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(folder / CONFIG, config.model_dump(mode="json"))


def read_config(folder: Path | str) -> ModelConfig:
    """The config of a checkpoint.

    Raises:
        UserError: it is missing or damaged, or says what cannot be.
    """
    path = Path(folder) / CONFIG
    if not path.exists() and (Path(folder) / EARLIER).exists():
        raise UserError(f"{folder}: a checkpoint of version 0.2, without {CONFIG}; train or import it again")
    try:
        value = json.loads(path.read_bytes())
    except RecursionError:
        raise UserError(f"{path}: not the config of a network: nested too deeply") from None
    except (FileNotFoundError, ValueError) as error:  # ValueError: no JSON, or a number of thousands of digits
        raise UserError(f"{folder}: not a whole checkpoint: {error}") from None
    except OSError as error:
        raise refused(path, error) from None
    config = check(ModelConfig, value, file=path)
    for name, task in config.network.tasks.items():
        check(load_task(name).Params, task.params, file=path, key=f"network.tasks.{name}.params")
        for key, classes in config.labels.get(name, {}).items():
            if len(classes) != task.labels.get(key):
                raise UserError(
                    f"{path}: labels.{name}.{key}: {len(classes)} names, but the network has {task.labels.get(key)}"
                )
    width = sum(one.size for one in config.features)
    if config.features and width != config.network.input_size:
        raise UserError(
            f"{path}: features: {width} numbers a row, but network.input_size is {config.network.input_size}"
        )
    return config


def load_checkpoint(folder: Path | str) -> Network:
    """The network of a checkpoint, on the CPU, in evaluation mode.

    Raises:
        UserError: a file is missing or damaged, or weights and specification differ, or a weight is not finite;
        the message names the first.
    """
    spec = read_config(folder).network
    weights = _weights(outline(spec, f"{Path(folder) / CONFIG}: network"), folder)
    network = Network(spec)
    network.load_state_dict(weights)
    return network.eval()


def load_weights(network: Network, folder: Path | str) -> None:
    """Put the weights of a checkpoint into a network of its config.

    Raises:
        UserError: as of `load_checkpoint`.
    """
    network.load_state_dict(_weights(network, folder))


def _weights(network: Network, folder: Path | str) -> dict[str, Tensor]:
    """The weights of a checkpoint, which have the names and shapes of the network's."""
    folder = Path(folder)
    try:
        weights = read_tensors(folder / WEIGHTS)
    except (FileNotFoundError, SafetensorError) as error:
        raise UserError(f"{folder}: not a whole checkpoint: {error}") from None
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if wanted != found:
        names = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        first = "; ".join(
            f"{name}: expected {wanted.get(name, 'nothing')}, found {found.get(name, 'nothing')}" for name in names[:5]
        )
        raise UserError(f"{folder / WEIGHTS}: {len(names)} of {len(wanted)} weights differ from {CONFIG}: {first}")
    check_finite(folder / WEIGHTS, weights)
    return weights


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of safetensors, read rather than mapped: not every file system maps files.

    Raises:
        FileNotFoundError: there is none.
        SafetensorError: it is damaged.
        UserError: the system refuses to read it.
    """
    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refused(path, error) from None


def check_finite(source: Path | str, tensors: Mapping[str, Tensor]) -> None:
    """UserError that names `source` and the first tensors by name that hold NaN or Inf, if any does."""
    spoilt = [name for name in sorted(tensors) if not torch.isfinite(tensors[name]).all()]
    if spoilt:
        raise UserError(
            f"{source}: {len(spoilt)} of {len(tensors)} tensors hold NaN or Inf: {', '.join(spoilt[:5])}; "
            "they are of no use, train again, with a lower lr if need be"
        )
