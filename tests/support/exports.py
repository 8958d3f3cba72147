"""Exports of annotation tools, as the tools write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pympi.Elan import Eaf

ROWS = [("kitchen", 0.5, 2.0, "cut", "apple"), ("kitchen", 2.0, 3.25, "open", "door"), ("yard", 1.0, 4.0, "dig", None)]


def write_elan(folder: Path, video: str) -> Path:
    """Verbs on the timeline, nouns on a tier of symbolic association, which refers to them."""
    eaf = Eaf()
    eaf.remove_tier("default")
    eaf.add_linked_file(f"file:///C:/my%20videos/{video}.mp4", f"./{video}.mp4", "video/mp4")
    eaf.add_linguistic_type("noun of a verb", "Symbolic_Association", timealignable=False)
    eaf.add_tier("verb")
    eaf.add_tier("noun", ling="noun of a verb", parent="verb")
    for name, start, end, verb, noun in ROWS:
        if name == video:
            eaf.add_annotation("verb", int(1000 * start), int(1000 * end), verb)
            if noun:
                eaf.add_ref_annotation("noun", "verb", int(1000 * start) + 1, noun)
    eaf.to_file(str(folder / f"{video} labels.eaf"))
    return folder / f"{video} labels.eaf"


def region(number: int, track: str, **value: Any) -> dict[str, Any]:
    return {"id": f"r{number}", "from_name": track, "to_name": "video", "type": "labels", "value": value}


def studio_task(video: str, results: list[Any], **others: Any) -> dict[str, Any]:
    data = {"video": f"/data/upload/3/0a1b2c3d-{video}.mp4", "note": "by the window"}
    return {"id": 1, "data": data, "annotations": [{"id": 7, "result": results, "was_cancelled": False}]} | others


def write_studio(folder: Path) -> Path:
    """Regions in seconds; the noun is a choice of the region, without times of its own."""
    tasks = []
    for video in ("kitchen", "yard"):
        results = []
        for number, (name, start, end, verb, noun) in enumerate(ROWS):
            if name == video:
                results.append(region(number, "verb", start=start, end=end, labels=[verb]))
                results += [region(number, "noun", choices=[noun])] if noun else []
        tasks.append(studio_task(video, results))
    (folder / "project.json").write_text(json.dumps(tasks))
    return folder / "project.json"


def via_project() -> dict[str, Any]:
    options = {"0": "cut", "1": "open", "2": "dig"}
    ids = {name: key for key, name in options.items()}
    project: dict[str, Any] = {
        "project": {"pid": "__VIA_PROJECT_ID__"},
        "attribute": {
            "1": {"aname": "verb", "type": 4, "options": options, "anchor_id": "FILE1_Z2_XY0"},
            "2": {"aname": "noun", "type": 1, "options": {}, "anchor_id": "FILE1_Z2_XY0"},
        },
        "file": {"1": {"fname": "kitchen.mp4", "src": ""}, "2": {"fname": "yard.mp4", "src": ""}},
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
        "metadata": {},
    }
    for number, (video, start, end, verb, noun) in enumerate(ROWS):
        view = "1" if video == "kitchen" else "2"
        values = {"1": ids[verb]} | ({"2": noun} if noun else {})
        project["metadata"][f"{view}_{number}"] = {"vid": view, "flg": 0, "z": [start, end], "xy": [], "av": values}
    return project


def write_via(folder: Path, project: dict[str, Any] | None = None) -> Path:
    (folder / "via.json").write_text(json.dumps(via_project() if project is None else project))
    return folder / "via.json"
