"""Published Hier-EgoPack checkpoints as ours: names of weights, and the sizes that the arrays tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from egopack.errors import UserError, shown
from egopack.model.checkpoint import check_finite
from egopack.model.network import Network, NetworkSpec, TaskSpec, outline
from egopack.params import BackboneParams
from egopack.published.torch_archive import read_foreign

CONVOLUTION = {"lin_rel": "neighbor", "lin_root": "root", "lin_pos.0": "gate.0", "lin_pos.2": "gate.1"}
CLASSIFIER = {"net.0": "0", "net.1": "0.norm", "net.3": "1", "net.4": "1.norm", "cls": "out"}
NECK = {"net.1": "0", "net.2": "norm", "net.4": "1"}
REGRESSOR = {"layers.0.0": "0", "layers.0.1": "0.norm", "head.0": "out"}
CLASSIFIERS = {"verb_classifier": "verb", "noun_classifier": "noun", "classifier": "classifier"}
NORMS = {"gnn_norm_layers": "conv_norm"}
CONSTANTS = {"pe.frequency"}  # of PNR's index encoding, which is computed

ANNOTATIONS = {"ar": "fho_lta", "oscc": "fho_oscc-pnr", "lta": "fho_lta", "pnr": "fho_oscc-pnr", "mq": "moments"}

MOST_WEIGHTS = 4096  # of a part of a checkpoint; a published one has a few hundred
QUOTES = "'\""

Weights = dict[str, Tensor]


def import_published(path: Path | str) -> Network:
    """The network of a published multi-task checkpoint, in evaluation mode; all sizes are those of its arrays.

    What no array tells is the published value, our default: the radius, dropout, LTA's horizon.

    Raises:
        UserError: the file is damaged or not such a checkpoint; the message names the first keys that are unknown or
        missing.
    """
    parts = read_parts(path)
    unknown: list[str] = []
    backbone = renamed(parts.pop("model"), backbone_name, unknown)
    tasks = {name: renamed(state, task_name, unknown) for name, state in parts.items()}
    if unknown:
        named = ", ".join(shown(key).strip(QUOTES) for key in unknown[:5])
        raise UserError(f"{path}: {len(unknown)} unknown keys: {named}")
    try:
        spec = NetworkSpec(
            input_size=backbone["projection.0.weight"].shape[1],
            levels=1 + max(int(name.split(".")[1]) for name in backbone if name.startswith("level.")),
            backbone=backbone_params(backbone),
            tasks={name: task_spec(name, weights) for name, weights in tasks.items()},
        )
        expected = outline(spec, str(path))
    except KeyError as error:
        raise UserError(f"{path}: the weight {error.args[0]} (our name) is missing") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: weights of a size that cannot be: {key}: {first['msg']} (got {shown(first['input'])})"
        ) from None
    except (IndexError, TypeError, ValueError) as error:
        raise UserError(f"{path}: weights of a shape that cannot be: {error}") from None
    weights = {f"backbone.{name}": value for name, value in backbone.items()}
    for task, own in tasks.items():
        weights |= {f"task.{task}.{name}": value for name, value in own.items()}
    fitting = fitted(weights, expected, path)
    network = Network(spec)
    network.load_state_dict(network.state_dict() | fitting)
    return network.eval()


def read_parts(path: Path | str) -> dict[str, Weights]:
    """State dicts of the backbone (`model`) and of every task, by the task's name."""
    content = read_foreign(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise UserError(f"{path}: not a published checkpoint: it has no 'model'")
    nested = content.get("task", {})
    tasks = dict(nested) if isinstance(nested, dict) else {}
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    flat = {key.removeprefix("task/"): value for key, value in named.items() if key.startswith("task/")}
    parts = {"model": content["model"]}
    for key, state in (tasks | flat).items():
        name = key.rsplit("/", 1)[-1] if isinstance(key, str) else ""
        if name not in ANNOTATIONS or name in parts:
            raise UserError(f"{path}: task {shown(key)}: not one of {', '.join(sorted(ANNOTATIONS))}, each once")
        parts[name] = state
    if len(parts) == 1:
        raise UserError(f"{path}: not a published checkpoint: it has no 'task'")
    for name, state in parts.items():
        if not isinstance(state, dict) or len(state) > MOST_WEIGHTS:
            raise UserError(f"{path}: {name}: not a state dict of at most {MOST_WEIGHTS} tensors")
        wrong = [key for key, value in state.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
        if wrong:
            raise UserError(f"{path}: {name}: not a state dict of tensors: {shown(wrong[0]).strip(QUOTES)}")
    return parts


def renamed(
    state: Mapping[str, Tensor], name_of: Callable[[str, Iterable[str]], str | None], unknown: list[str]
) -> Weights:
    """The weights by our names; keys that have none are added to `unknown`."""
    weights = {}
    for key, value in state.items():
        name = name_of(key, state)
        if name is not None:
            weights[name] = value
        elif key not in CONSTANTS:
            unknown.append(key)
    return weights


def backbone_name(key: str, keys: Iterable[str]) -> str | None:
    """Our name of a weight of `model`; positions among `keys` count, as activations and dropout stand between layers.

    None for an unknown key.
    """
    if found := re.fullmatch(r"proj\.(\d{1,4})\.(weight|bias)", key):
        rank = _rank(r"proj\.(\d{1,4})\..+", found[1], keys)
        return None if rank is None else f"projection.{rank}.{found[2]}"
    if found := re.fullmatch(r"(\w+_norm_layers)\.(\d{1,4})\.(weight|bias)", key):
        return f"level.{found[2]}.{NORMS[found[1]]}.{found[3]}" if found[1] in NORMS else None
    if found := re.fullmatch(r"layers\.(\d{1,4})\.module_(\d{1,4})\.(.+)", key):
        level, module, rest = found.groups()
        rank = _rank(rf"layers\.{level}\.module_(\d{{1,4}})\.lin_.+", module, keys)
        if rank is not None:
            inner = _convolution(rest)
            return f"level.{level}.conv.{rank}.{inner}" if inner else None
        return f"level.{level}.norm.{rest}" if rest in ("weight", "bias") else None
    return None


def task_name(key: str, keys: Iterable[str]) -> str | None:
    """Our name of a task's weight; None for an unknown key."""
    if key == "scales":
        return key
    if found := re.fullmatch(r"head\.module_(\d{1,4})\.(.+)", key):
        rank, inner = _rank(r"head\.module_(\d{1,4})\.lin_.+", found[1], keys), _convolution(found[2])
        return f"head.conv.{rank}.{inner}" if rank is not None and inner else None
    first, _, rest = key.partition(".")
    if first == "classifier" and rest in ("weight", "bias"):
        return key  # PNR's is a single linear layer
    layer, _, kind = rest.rpartition(".")
    tables = {"projector": ("neck", NECK), "regressor": ("regressor", REGRESSOR)} | {
        theirs: (ours, CLASSIFIER) for theirs, ours in CLASSIFIERS.items()
    }
    if first not in tables or kind not in ("weight", "bias"):
        return None
    ours, layers = tables[first]
    return f"{ours}.{layers[layer]}.{kind}" if layer in layers else None


def _convolution(rest: str) -> str | None:
    """Our name of a weight inside of a convolution."""
    layer, _, kind = rest.rpartition(".")
    if not layer:
        return "bias" if rest == "bias" else None
    return f"{CONVOLUTION[layer]}.{kind}" if layer in CONVOLUTION else None


def _rank(pattern: str, number: str, keys: Iterable[str]) -> int | None:
    """How many of the numbers that `pattern` finds in the keys are smaller; None if `number` is not one of them."""
    numbers = _numbers(pattern, tuple(keys))
    return numbers.index(int(number)) if int(number) in numbers else None


@lru_cache(maxsize=1000)
def _numbers(pattern: str, keys: tuple[str, ...]) -> list[int]:
    return sorted({int(found[1]) for found in (re.fullmatch(pattern, key) for key in keys) if found})


def backbone_params(weights: Weights) -> BackboneParams:
    """Params of a backbone of these sizes."""
    projections = len({name for name in weights if re.fullmatch(r"projection\.\d+\.weight", name)})
    return BackboneParams.model_validate(
        {
            "hidden": len(weights["projection.0.bias"]),
            "convs_per_level": len({name for name in weights if re.fullmatch(r"level\.0\.conv\.\d+\.bias", name)}),
            "projection": "linear" if projections == 1 else "mlp",
            "pre_norm": "level.0.conv_norm.weight" in weights,
            "conv": {"gate_size": len(weights["level.0.conv.0.gate.0.bias"])},
        }
    )


def task_spec(name: str, weights: Weights) -> TaskSpec:
    """A task of these sizes."""
    model = {"features": len(weights["neck.1.bias"])}
    hidden = {"ar": "verb.0.bias", "lta": "verb.0.bias", "oscc": "classifier.0.bias", "mq": "classifier.0.bias"}
    if name in hidden:
        model["classifier_hidden"] = len(weights[hidden[name]])
    if name == "lta":
        model["gate_size"] = len(weights["head.conv.0.gate.0.bias"])
    heads = {
        "ar": {"verbs": "verb", "nouns": "noun"},
        "lta": {"verbs": "verb", "nouns": "noun"},
        "oscc": {"changes": "classifier"},
        "mq": {"moments": "classifier"},
    }
    return TaskSpec(
        params={
            "annotations": ANNOTATIONS[name],
            "levels": weights["scales"].numel() if name == "mq" else 1,
            "samples": {},
            "model": model,
        },
        labels={label: len(weights[f"{head}.out.weight"]) for label, head in heads.get(name, {}).items()},
    )


def fitted(weights: Weights, network: Network, path: Path | str) -> Weights:
    """The weights in float32 and in the network's shapes, dimensions of size 1 apart; buffers may be missing.

    Raises:
        UserError: weights are missing, unknown, of other shapes or not finite; the message names the first.
    """
    out, differing = {}, []
    buffers = {name for name, _ in network.named_buffers()}
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        ours, theirs = wanted.get(name), weights.get(name)
        if theirs is None and name in buffers:
            continue
        if ours is None or theirs is None or ours.squeeze().shape != theirs.squeeze().shape:
            shapes = ["nothing" if one is None else str(tuple(one.shape)) for one in (ours, theirs)]
            differing.append(f"{name}: expected {shapes[0]}, found {shapes[1]}")
        else:
            out[name] = theirs.to(torch.float32).reshape(ours.shape)
    if differing:
        raise UserError(f"{path}: {len(differing)} weights do not fit: {'; '.join(differing[:5])}")
    check_finite(path, out)
    return out
