"""Params that are made to do harm, or look like it: one line with file, key and value, at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from egopack.errors import UserError
from egopack.params import load_params
from egopack.params.load import read_yaml
from egopack.tasks.base import check_task

ROOT = Path(__file__).resolve().parents[2]


def refused(path: Path, content: str | bytes) -> str:
    """The one line that reading params ends in."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    began = time.process_time()
    with pytest.raises(UserError) as caught:
        [check_task(name, block, path) for name, block in load_params(path).tasks.items()]
    assert time.process_time() - began < 5
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < len(str(path)) + 500
    return message


def bomb(first: str, other: Callable[[str], str], depth: int = 40) -> str:
    """Aliases of aliases: few bytes, and 9^depth values."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{k}: &a{k} {other(', '.join([f'*a{k - 1}'] * 9))}" for k in range(1, depth)]
    return "\n".join(lines)


TEXTS: dict[str, tuple[str | bytes, str]] = {
    "an alias bomb": (bomb("[lol]", lambda repeated: f"[{repeated}]"), "more than 100000 values"),
    "an alias bomb of merges": (bomb("{a: 1}", lambda repeated: f"{{<<: [{repeated}]}}"), "more than 100000 values"),
    "an alias of itself": ("a: &a [*a]", "more than"),
    "a mapping in itself": ("&a {b: *a}", "more than"),
    "nested lists": ("a: " + "[" * 5000, "nested too deeply"),
    "nested blocks": ("\n".join("  " * k + "a:" for k in range(100)), "more than 50 levels"),
    "a large file": ("a: 1\n" + "#" * (1 << 20), "larger than"),
    "a day that does not exist": ("seed: 2024-13-45", "not valid YAML: month must be in 1..12"),
    "a moment before all time": ("seed: 0001-01-01T00:00:00+23:59", "seed: Input should be a valid"),
    "a key that is no day": ("2024-13-45: 1", "not valid YAML: month must be"),
    "thousands of digits": ("seed: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
    "thousands of hexadecimal digits": ("seed: 0x" + "f" * 5000, "seed"),
    "thousands of sixties": ("seed: " + ":".join(["59"] * 5000), "seed"),
    "a key of thousands of digits": ("? 0x" + "f" * 5000 + "\n: 1", ""),
    "a binary": ("seed: !!binary a", "not valid YAML"),
    "a pair list": ("seed: !!pairs [1]", "not valid YAML"),
    "an object": ("seed: !!python/object/apply:os.mkdir [ran]", "not valid YAML: could not determine a constructor"),
    "no UTF-8": (b"seed: \xff", "not valid YAML"),
    "a zero byte": ("seed: \0", "not valid YAML"),
    "half a pair": (b"seed: '\xed\xa0\x80'", "not valid YAML"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str, tmp_path: Path) -> None:
    content, message = TEXTS[name]
    assert message in refused(tmp_path / "params.yaml", content)


def test_aliases_and_merges_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a {b: [1, 2]}\nc: [*a, *a]\nd: {<<: *a, e: 3}\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": {"b": [1, 2]}, "c": [{"b": [1, 2]}] * 2, "d": {"b": [1, 2], "e": 3}}


BIG = int("9" * 4000)
NUMBERS: dict[str, Any] = {
    "multi.levels": 10**9,
    "tasks.mq.levels": 25,
    "backbone.convs_per_level": 10**9,
    "backbone.hidden": 10**12,
    "backbone.radius_s": 1e300,
    "backbone.ffn_expansion": 1e9,
    "backbone.conv.gate_size": 10**7,
    "interaction.rounds": 10**9,
    "interaction.k": 10**9,
    "data.features.egovlp.fps": 1e-300,
    "data.features.egovlp.size": 10**9,
    "data.features.egovlp.stride": BIG,
    "data.shard_mb": 10**12,
    "tasks.lta.decode.candidates": 10**9,
    "tasks.lta.samples.horizon": 10**9,
    "tasks.mq.decode.sigma": 1e300,
    "tasks.ar.model.features": 10**12,
    "tasks.ar.train.epochs": 10**12,
    "tasks.ar.train.batch_size": 10**12,
    "tasks.ar.train.lr": 1e300,
    "synthetic.train_videos": 10**9,
    "synthetic.mean_minutes": 1e300,
    "runtime.threads": 10**6,
    "runtime.save_every": BIG,
    "seed": BIG,
}


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers(key: str, tmp_path: Path) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    *path, last = key.split(".")
    block = params
    for part in path:
        block = block[part]
    block[last] = NUMBERS[key]
    message = refused(tmp_path / "params.yaml", json.dumps(params))
    assert key in message
    assert "Input should be less than" in message or "Input should be greater than" in message
