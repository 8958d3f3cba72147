"""The built-in corpus's model of features on anybody's timelines, so that a pipeline can run before features exist."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from egopack.ego4d.layout import RENDERED, feature_dir
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.files import atomic_folder, write_json
from egopack.footage.sources import EGO4D, annotation_files, check_files, drawn_splits, read_timelines, scored_by
from egopack.footage.splits import assign
from egopack.footage.timelines import NAMES, class_sets
from egopack.labels import Labels
from egopack.params import DataParams, FeatureSet, SyntheticParams
from egopack.synthetic.world import FPS, STRIDE, Event, Timeline, World, build_world, render

EVERY = 2.5  # seconds between the bumps of a long action
ROOM = 2  # labels of each kind beyond the known ones: none, and one that validation alone has


def render_footage(
    data: DataParams,
    root: Path,
    out: Path,
    settings: SyntheticParams,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the annotations under `root` again to the new folder `out`, with features of every set made of them.

    What a row shows is made of the labels around it and of noise, so scores tell what the pipeline can do and nothing
    of the footage: a file `rendered.json` beside the features says so. Returns how many videos were written.
    Raises UserError where the annotations cannot be read, are Ego4D's, or `out` is not empty.
    """
    if data.source == EGO4D:
        raise UserError("data.source: 'ego4d' is not rendered; take table, activitynet or epic")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: not empty; name a new folder")
    check_files(data, root, ())
    timelines = read_timelines(data, root)
    splits = assign(timelines.videos, drawn_splits(data, root, (), {}), data.split, Skips())
    classes = class_sets(timelines, splits)
    sizes = {column: len(classes.get(name, ())) + ROOM for column, name in NAMES.items()}
    last = timelines.segments.groupby("video")["end"].max()
    seconds = timelines.videos["duration"].fillna(last).dropna()
    parts = dict(list(timelines.segments.groupby("video")))
    with atomic_folder(out) as folder:
        needed, optional = annotation_files(data, root)
        for path in [*needed, *(file for file in optional if file.exists()), *scored_by(data, root)]:
            (folder / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path.relative_to(root))
        for name, one in data.features.items():
            world = build_world(_settings(settings, one, sizes))
            place = feature_dir(folder, name)
            place.mkdir(parents=True)
            for done, (video, duration) in enumerate(seconds.items(), start=1):
                rows = max(int(duration * one.fps) // one.stride, 1)
                rng = np.random.default_rng([settings.seed, *str(video).encode()])
                timeline = _timeline(parts.get(video), classes, float(duration), one, world)
                made = render(world, timeline, _settings(settings, one, sizes), rows, rng)
                np.save(place / f"{video}.npy", made)
                progress(done, len(seconds))
            write_json(place / RENDERED, {"made_of": "annotations", "by": "stages.render", "seed": settings.seed})
    return len(seconds)


def _settings(settings: SyntheticParams, one: FeatureSet, sizes: Mapping[str, int]) -> SyntheticParams:
    counts = {"verbs": sizes["verb"], "nouns": sizes["noun"], "moments": sizes["label"]}
    made = {name: max(count, 4) for name, count in counts.items()}
    return SyntheticParams.model_validate(settings.model_dump() | made | {"feature_size": one.size})


def _timeline(
    segments: pd.DataFrame | None, classes: Labels, duration: float, one: FeatureSet, world: World
) -> Timeline:
    """What happens in a video, in seconds of the world's grid."""
    scale = STRIDE / FPS / (one.stride / one.fps)
    events, moments = [], []
    for row in [] if segments is None else segments.to_dict("records"):
        verb, noun, label = (_number(classes.get(name, ()), row.get(column)) for column, name in NAMES.items())
        start, end, pnr = row["start"] * scale, row["end"] * scale, row.get("pnr", np.nan) * scale
        if row.get("verb") is not None or row.get("noun") is not None or pnr == pnr:
            count = max(round((end - start) / EVERY), 1)
            times = start + (np.arange(count) + 0.5) * (end - start) / count
            change = int(np.abs(times - pnr).argmin()) if pnr == pnr else -1
            events += [
                Event(float(time), verb, noun, float(pnr) if k == change else None, 0) for k, time in enumerate(times)
            ]
        if row.get("label") is not None:
            moments.append((label, start, end))
    if not events:  # the model has at least one
        events = [Event(-1e6, len(world.verbs) - 1, len(world.nouns) - 1, None, 0)]
    return Timeline(0, int(duration * scale * FPS), ((0.0, duration * scale),), tuple(events), tuple(moments))


def _number(classes: tuple[str, ...], name: object) -> int:
    """The place of a name's vector: its class, else one of the places that are for none and for unknown ones."""
    if name is None:
        return len(classes) + 1
    return classes.index(str(name)) if name in classes else len(classes)
