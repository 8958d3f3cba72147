"""The table of all sources of annotations; a new one is a module beside this and a line here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from egopack.ego4d import layout
from egopack.ego4d.sources.fho_lta import FHO_LTA
from egopack.ego4d.sources.fho_oscc_pnr import FHO_OSCC_PNR
from egopack.ego4d.sources.moments import MOMENTS
from egopack.ego4d.sources.scenarios import SCENARIOS
from egopack.ego4d.sources.source import Source
from egopack.ego4d.sources.videos import VIDEOS

ALL: tuple[Source[Any], ...] = (
    FHO_LTA,
    FHO_OSCC_PNR,
    MOMENTS,
    SCENARIOS,
    Source("narration", ("narration.json",)),
    Source("ego4d", (VIDEOS,)),
)
SOURCES = {source.name: source for source in ALL}


def source_files(root: Path | str, version: str, source: str) -> tuple[Path, ...]:
    """Files that a source needs (all splits, and the taxonomy for fho_lta)."""
    if source not in SOURCES:
        raise ValueError(f"no source {source!r}; there are {', '.join(SOURCES)}")
    return tuple(layout.annotation_dir(root, version) / name for name in SOURCES[source].files)


def optional_files(root: Path | str, version: str, source: str) -> tuple[Path, ...]:
    """Files that a source reads when they are there; they need not be. What ego4d.json says of the videos is held
    against every source.
    """
    own = tuple(Path(root) / "annotations" / name for name in SOURCES[source].optional)
    return own if VIDEOS in SOURCES[source].files else (*own, layout.annotation_dir(root, version) / VIDEOS)
