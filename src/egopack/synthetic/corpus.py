"""The built-in corpus: writes the world of `synthetic.world` to disk in the format of Ego4D v1, oddities included.

Everything comes from the seeds of world and videos, and the same settings give the same bytes. Rare oddities
(`quirk_rate` of the items, at least one of each kind) are those of the real files; each spoils one item at most and
leaves the corpus usable.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from math import floor
from pathlib import Path
from typing import Any

import numpy as np

from egopack.errors import UserError
from egopack.files import atomic_folder
from egopack.params import SyntheticParams
from egopack.synthetic.annotations import (
    Row,
    Video,
    actions,
    hide_labels,
    moments_clip,
    narrations,
    pick,
    spoil_moments,
    uid,
    windows,
)
from egopack.synthetic.sites import site_name, site_worlds
from egopack.synthetic.world import FPS, SCENARIOS, STRIDE, World, render, simulate

SPLITS = {"train": "train", "val": "val", "test": "test_unannotated"}  # in a row, in a file's name
HEADER = {"version": "1", "date": "220216", "description": "Built-in synthetic corpus"}


def _metadata(videos: list[Video], settings: SyntheticParams) -> Row:
    rows = []
    for video in videos:
        frames = video.timeline.frames
        meta = {"fps": FPS, "num_frames": frames}
        row = {
            "video_uid": video.uid,
            "duration_sec": floor(10 * frames / FPS) / 10,
            "scenarios": [SCENARIOS[video.timeline.scenario]],
        }
        row |= {"video_metadata": meta, "split_em": video.split, "split_fho": "multi", "is_stereo": False}
        rows.append(row | ({"video_source": site_name(video.site)} if settings.sites > 1 else {}))
    return HEADER | {"videos": rows, "clips": []}


def _injuries(videos: list[Video], settings: SyntheticParams, rng: np.random.Generator) -> dict[str, str]:
    """Video uid → what is odd about its features. Damaged: train and val in turn, and never the half of a split."""
    wanted = {
        "missing": settings.missing_features,
        "truncated": settings.truncated_features,
        "nan": settings.nan_features,
    }
    pools: list[list[str]] = []
    for split in ("train", "val"):
        uids = [video.uid for video in videos if video.split == split]
        pools.append([uids[i] for i in rng.permutation(len(uids))])
    spare = [(len(pool) - 1) // 2 for pool in pools]
    injured: dict[str, str] = {}
    for count, kind in enumerate([kind for kind, number in wanted.items() for _ in range(number)]):
        turn = count % 2 if spare[count % 2] else (count + 1) % 2
        if spare[turn]:
            spare[turn] -= 1
            injured[pools[turn].pop()] = kind
    healthy = [uid for pool in pools for uid in pool]
    for count, i in enumerate(pick(rng, len(healthy), 2 * settings.quirk_rate, least=2)):
        injured[healthy[i]] = ("short", "partial last row")[count % 2]
    return injured


def _write_features(path: Path, video: Video, world: World, settings: SyntheticParams, injury: str | None) -> None:
    """<video_uid>.pt, a float32 tensor [T, D]: T whole rows, or 3 fewer, or one more for what is left over."""
    import torch

    rows = video.timeline.frames // STRIDE + {"short": -3, "partial last row": 1}.get(injury or "", 0)
    features = render(world, video.timeline, settings, rows, video.rng)
    if injury == "nan":
        features[rows // 3 : rows // 3 + 3] = np.nan
    buffer = io.BytesIO()  # into a file, torch.save would write the file's name
    torch.save(torch.from_numpy(features), buffer)
    content = buffer.getvalue()
    if injury != "missing":
        path.write_bytes(content[: len(content) // 2] if injury == "truncated" else content)


def _forecasting(
    videos: list[Video], world: World, settings: SyntheticParams, rng: np.random.Generator
) -> tuple[list[Row], list[Row]]:
    """Rows of fho_lta_* and of fho_oscc-pnr_*; actions of different clips are mixed, as in the real files."""
    lta: list[Row] = []
    oscc: list[Row] = []
    number = 1000
    for video in videos:
        for clip in range(len(video.clip_uids)):
            lta += actions(video, clip, number, world, settings.quirk_rate)
            oscc += windows(video, clip, 2 * number, settings.windows_per_clip)
            number += 1
    if videos and videos[0].split != "test":
        hide_labels(oscc, rng, settings.quirk_rate)
    return [lta[i] for i in rng.permutation(len(lta))], [oscc[i] for i in rng.permutation(len(oscc))]


def _moments(videos: list[Video], world: World, settings: SyntheticParams, rng: np.random.Generator) -> list[Row]:
    """The `videos` of moments_*."""
    early = set(pick(rng, len(videos), settings.quirk_rate))
    clips = [moments_clip(video, world, settings.quirk_rate, i in early) for i, video in enumerate(videos)]
    if videos and videos[0].split != "test":
        spoil_moments(clips, rng, settings.quirk_rate)
    return [
        {"video_uid": video.uid, "split": video.split, "clips": [clip]}
        for video, clip in zip(videos, clips, strict=True)
    ]


def _write_annotations(
    folder: Path, videos: list[Video], world: World, settings: SyntheticParams, rng: np.random.Generator
) -> Row:
    """All JSON files of one version, with the names that the classes of `world` have. Returns the counts per split."""

    def write(name: str, value: Any) -> None:
        (folder / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")

    folder.mkdir(parents=True)
    summary: Row = {}
    for split, suffix in SPLITS.items():
        chosen = [video for video in videos if video.split == split]
        head = HEADER | {"split": suffix}
        lta, oscc = _forecasting(chosen, world, settings, rng)
        moments = _moments(chosen, world, settings, rng)
        write(f"fho_lta_{suffix}", head | {"clips": lta})
        write(f"fho_oscc-pnr_{suffix}", head | {"clips": oscc})
        write(f"moments_{suffix}", head | {"videos": moments})
        labels = [row for v in moments for c in v["clips"] for a in c.get("annotations", ()) for row in a["labels"]]
        summary[split] = {
            "videos": len(chosen),
            "minutes": round(sum(video.timeline.seconds for video in chosen) / 60, 1),
            "clips": sum(len(video.clip_uids) for video in chosen),
            "actions": len(lta),
            "windows": len(oscc),
            "changes": sum(row.get("state_change") is True for row in oscc),
            "moments": sum(row["primary"] for row in labels),
        }
    write("fho_lta_taxonomy", {"verbs": world.verbs, "nouns": world.nouns})
    write("narration", narrations(videos, world, rng, settings.quirk_rate))
    write("ego4d", _metadata(videos, settings))
    return summary


def _videos(settings: SyntheticParams, worlds: list[World], seeds: list[np.random.SeedSequence]) -> list[Video]:
    counts = (settings.train_videos, settings.val_videos, settings.test_videos)
    places = [(split, k % settings.sites) for split, count in zip(SPLITS, counts, strict=True) for k in range(count)]
    videos = []
    for (split, site), seed in zip(places, seeds, strict=True):
        rng = np.random.default_rng(seed)
        timeline = simulate(worlds[site], settings, rng)
        videos.append(Video(uid(rng), split, timeline, tuple(uid(rng) for _ in timeline.intervals), rng, site))
    return videos


def _write(root: Path, settings: SyntheticParams, progress: Callable[[int, int], None] | None) -> Row:
    total = settings.train_videos + settings.val_videos + settings.test_videos
    _, first, *seeds = np.random.SeedSequence(settings.seed).spawn(2 + total)  # child 0 of a number is for its world
    worlds, rng = site_worlds(settings), np.random.default_rng(first)
    videos = _videos(settings, worlds, seeds)
    injured = _injuries(videos, settings, rng)
    summary = _write_annotations(root / "annotations" / "v1", videos, worlds[0], settings, rng)
    folder = root / "features" / settings.feature_set
    folder.mkdir(parents=True)
    for done, video in enumerate(videos, 1):
        _write_features(folder / f"{video.uid}.pt", video, worlds[video.site], settings, injured.get(video.uid))
        if progress is not None:
            progress(done, total)
    return summary | {"injured": dict(sorted(injured.items()))}


def write_corpus(
    root: Path | str, settings: SyntheticParams, progress: Callable[[int, int], None] | None = None
) -> Row:
    """Write `annotations/v1/` and `features/<feature set>/` below `root`, which appears complete or not at all.

    `progress(videos done, videos)` is called after every feature file. Returns counts per split (videos, minutes, LTA
    clips, actions, windows, windows with a change, primary moments) and, under `injured`, the videos whose features
    are odd. Raises UserError where `root` holds something already: it may be somebody's copy of Ego4D.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root}: not empty; name a new folder for the built-in corpus, or remove this one")
    with atomic_folder(root) as temporary:
        return _write(temporary, settings, progress)
