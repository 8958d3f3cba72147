"""Fixtures are found by listing a folder, so any folder of the same form can be given: pytest tests/parity
--parity-dir DIR.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from egopack.data.batch import Batch, nodes_in_segments
from egopack.data.pyramid import Pyramid, build_pyramid
from egopack.params import BackboneParams, InteractionParams

ATOL, RTOL = 1e-5, 1e-4  # of a module, on a CPU
DEVICE_ATOL, DEVICE_RTOL = 1e-3, 1e-3  # on an accelerator


def our_name(name: str) -> str:
    """The name that the network gives to a weight of a fixture."""
    return re.sub(r"^stage\.", "round.", name.replace("/", ".").replace("neighbour", "neighbor"))


def interaction_params(meta: Mapping[str, Any]) -> InteractionParams:
    """The interaction that the settings of a fixture describe."""
    return InteractionParams(
        k=meta["k"],
        distance=meta.get("distance", "cosine"),
        conv=meta["conv"],
        hidden=meta["hidden"],
        rounds=meta["stages"],
        convs_per_round=meta["convs_per_stage"],
    )


@dataclass(frozen=True)
class Fixture:
    """One .npz: arrays by name and the settings in `meta`."""

    path: Path
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    device: str

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name]).to(self.device)

    def has(self, name: str) -> bool:
        return name in self.arrays

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Arrays whose name starts with `prefix`, dots instead of slashes in the rest."""
        found = {name: value for name, value in self.arrays.items() if name.startswith(prefix)}
        return {
            our_name(name.removeprefix(prefix)): torch.from_numpy(value).to(self.device)
            for name, value in found.items()
        }

    def load(self, module: nn.Module, prefix: str = "param/") -> nn.Module:
        """Load every array under `prefix` into the module, all names accounted for on both sides."""
        weights = self.under(prefix)
        missing = [name for name in module.state_dict() if name not in weights and name != "normalizer"]
        assert not missing, f"{self.path.name} has no {missing}"
        module.load_state_dict(weights, strict=False)
        unknown = [name for name in weights if name not in module.state_dict()]
        assert not unknown, f"{self.path.name} has {unknown}, which the module lacks"
        return module.to(self.device)

    def check(self, name: str, value: Tensor | np.ndarray | float, scale: float = 1.0) -> None:
        """`value` equals out/<name> within the tolerance of a module."""
        got = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        cpu = self.device == "cpu"
        atol, rtol = (ATOL, RTOL) if cpu else (DEVICE_ATOL, DEVICE_RTOL)
        np.testing.assert_allclose(
            got, self.arrays[f"out/{name}"], atol=scale * atol, rtol=scale * rtol, err_msg=f"{self.path.name}: {name}"
        )


def read(path: Path, device: str) -> Fixture:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Fixture(
        path, {name: value for name, value in arrays.items() if name != "meta"}, json.loads(str(arrays["meta"])), device
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the marker `fixtures` (or `paths`) runs once for each file of those names in the folder."""
    for marker, argument in (("fixtures", "fixture"), ("paths", "path")):
        patterns = metafunc.definition.get_closest_marker(marker)
        if patterns is not None:
            folder = Path(metafunc.config.getoption("parity_dir"))
            paths = sorted(path for pattern in patterns.args for path in folder.glob(pattern))
            metafunc.parametrize(argument, paths, ids=[path.stem for path in paths], indirect=marker == "fixtures")


@pytest.fixture
def fixture(request: pytest.FixtureRequest) -> Fixture:
    return read(request.param, request.config.getoption("parity_device"))


@pytest.fixture
def parity_dir(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.getoption("parity_dir"))


def pyramid_of(pos: np.ndarray, video: np.ndarray, levels: int, radius_s: float = 2.0) -> Pyramid:
    """The pyramid over level-0 nodes sorted by video and time."""
    assert (np.diff(video) >= 0).all(), "nodes stand video by video"
    return build_pyramid(pos, np.bincount(video).tolist(), levels=levels, radius_s=radius_s)


def batch_of(fixture: Fixture, *, targets: dict[str, str], owners: str | None = None) -> tuple[Batch, list[Tensor]]:
    """The batch of a head fixture, and its level features as leaves; `targets` maps our target names to the fixture's
    arrays.
    """
    level = fixture.arrays["in/level"]
    zero = level == 0
    pos, video = fixture.arrays["in/pos"][zero], fixture.arrays["in/video"][zero]
    pyramid = pyramid_of(pos, video, int(level.max()) + 1)
    np.testing.assert_allclose(torch.cat([part.pos for part in pyramid]).numpy(), fixture.arrays["in/pos"], atol=1e-5)
    videos = int(video.max()) + 1
    tensors = {name: torch.from_numpy(fixture.arrays[key]) for name, key in targets.items()}
    counts = {}
    for name, value in tensors.items():
        owner = fixture.arrays[owners] if owners else np.repeat(np.arange(videos), len(value) // videos)
        assert (np.diff(owner) >= 0).all(), "segments stand video by video"
        counts[name] = tuple(np.bincount(owner, minlength=videos).tolist())
    nodes = None
    if "segments" in tensors:
        cuts = np.cumsum(counts["segments"])[:-1]
        own = [pos[video == index] for index in range(videos)]
        nodes = nodes_in_segments(own, np.split(tensors["segments"].numpy(), cuts))
    batch = Batch(tuple(map(str, range(videos))), torch.zeros(len(pos), 1), pyramid, tensors, counts, nodes).to(
        fixture.device
    )
    x = fixture.tensor("in/x")
    levels = [part.clone().requires_grad_() for part in x.split([len(part.pos) for part in pyramid])]
    return batch, levels


def backbone_params(hidden: int, **changes: Any) -> BackboneParams:
    return BackboneParams.model_validate({"hidden": hidden, "dropout": 0.0} | changes)
