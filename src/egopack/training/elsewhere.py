"""What a training runs on, and how it differs from a run that left its state: to resume elsewhere, or tell why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from egopack.errors import shown
from egopack.runtime.ranks import Ranks
from egopack.training.state import read_records

MOST = 3  # differences that a line names
DIGEST = 32  # characters from which on a text of hexadecimal digits is a digest, which tells a reader nothing


def setting_of(device: torch.device, ranks: Ranks) -> dict[str, Any]:
    """What decides on the last bits of numbers, and not on what is trained."""
    return {
        "device": device.type,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "ranks": ranks.world,
    }


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Which keys differ, dotted, each with both values where they are short; empty where none does."""
    old, new = dict(_leaves(there)), dict(_leaves(here))
    keys = [key for key in {**new, **old} if old.get(key, "") != new.get(key, "")]
    told = [_one(key, old.get(key, "nothing"), new.get(key, "nothing")) for key in keys[:MOST]]
    return ", ".join(told) + (f" and {len(keys) - MOST} more" if len(keys) > MOST else "")


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or not value:
        yield key, value
        return
    for name, inner in value.items():
        yield from _leaves(inner, f"{key}.{name}" if key else str(name))


def _one(key: str, there: Any, here: Any) -> str:
    if any(isinstance(one, str) and len(one) >= DIGEST for one in (there, here)):
        return key
    return f"{key} ({shown(there, 40)} there, {shown(here, 40)} here)"


def of_another_run(root: Path, run: Mapping[str, Any]) -> str:
    """What to say of the newest state under `root` of a run by the same name that differs from `run`; empty where there
    is none.
    """
    for folder, record in read_records(root):
        there = record.get("run", {})
        if there.get("name") == run["name"] and (differs := differences(there, run)):
            return (
                f"the state after step {record['step']} in {folder} is of a run with other {differs}; "
                "with those as they were there, that run resumes"
            )
    return ""
