"""Sites: where videos are from, each with a world of its own, which has more or less in common with the first one's.

Ego4D was recorded by teams in nine countries, who differ in people, places and what is done there (Grauman et al., CVPR
2022, section 3); its benchmarks are annotated on videos that overlap in part. So whether tasks help each other
for what they share, or for being more training, is asked by giving each task the labels of a site of its own
(`labelled.<task>.sites`): with `sharing` 1 all sites live in one world, with 0 nothing that is learned at one holds at
another, and features, labels and their numbers are as rich at each. It is the control that transfer is measured
against: what is left of a gain where source and target have nothing in common (Zamir et al., Taskonomy, CVPR 2018).
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from egopack.params import SyntheticParams
from egopack.synthetic.world import World, build_world

# axes of a world's tables
VERBS = {
    **{"changes": (0,), "successors": (0, 1), "verb_tilt": (1,)},
    **{"affinity": (0,), "scenario_verbs": (1,), "trigger": (0,)},
}
NOUNS = {"noun_tilt": (1,), "affinity": (1,), "scenario_nouns": (1,)}
NAMES = ("verbs", "nouns", "moments")  # of which all sites have the same


def site_name(number: int) -> str:
    """What ego4d.json says of a site's videos."""
    return f"site{number}"


def site_worlds(settings: SyntheticParams) -> list[World]:
    """The world of each site; that of the first is the world that `settings.world` names."""
    first = build_world(settings)
    others = [
        _shared(first, _own(settings, number), settings.sharing, np.random.default_rng([settings.world, number, 1]))
        for number in range(1, settings.sites)
    ]
    return [first, *others]


def _own(settings: SyntheticParams, number: int) -> World:
    """A world that has nothing in common with that of any other number: also which verbs, nouns and activities are
    frequent, and which verbs change something, which worlds of other seeds have in common.
    """
    rng = np.random.default_rng([settings.world, number])
    world = build_world(settings.model_copy(update={"world": int(rng.integers(2**62))}))
    changed: dict[str, Any] = {}
    for tables, order in ((VERBS, rng.permutation(settings.verbs)), (NOUNS, rng.permutation(settings.nouns))):
        for name, axes in tables.items():
            for axis in axes:
                changed[name] = changed.get(name, getattr(world, name)).take(order, axis)
    changed["activities"] = world.activities[:, rng.permutation(world.activities.shape[1])]
    return replace(world, **changed)


def _shared(first: World, own: World, sharing: float, rng: np.random.Generator) -> World:
    """A world between two: every table is a mean of theirs, as regular as they are."""
    if sharing in (0, 1):
        return first if sharing else own
    means: dict[str, Any] = {}
    for name in (field.name for field in fields(World) if field.name not in NAMES):
        a, b = getattr(first, name), getattr(own, name)
        if name == "tables":
            means[name] = {key: _unit(sharing * a[key] + (1 - sharing) * b[key]) for key in a}
        elif name == "mixing":
            means[name] = _rotation(sharing * a + (1 - sharing) * b, a)
        elif name == "trigger":
            means[name] = np.where(rng.random(len(a)) < sharing, a, b)
        else:
            means[name] = sharing * a + (1 - sharing) * b
    return replace(first, **means)


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _rotation(mixing: np.ndarray, like: np.ndarray) -> np.ndarray:
    """What is nearest to `mixing` of those with the singular values of `like`, so that features are as strong."""
    left, _, right = np.linalg.svd(mixing, full_matrices=False)
    near: np.ndarray = left * np.linalg.svd(like, compute_uv=False) @ right
    return near
