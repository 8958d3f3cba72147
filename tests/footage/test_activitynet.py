"""ActivityNet's JSON and its relatives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from egopack.errors import UserError
from egopack.footage.activitynet import THUMOS, read_activitynet
from egopack.footage.timelines import Timelines


def read(folder: Path, database: dict[str, Any]) -> Timelines:
    (folder / "x.json").write_text(json.dumps({"version": "1.3", "database": database}))
    return read_activitynet(folder / "x.json")


def video(subset: str | None, *segments: tuple[float, float, str], **others: Any) -> dict[str, Any]:
    found = [{"segment": [start, end], "label": label} for start, end, label in segments]
    return {"subset": subset, "duration": 20.5, "annotations": found} | others


@pytest.mark.parametrize(
    "names", [("training", "validation", "testing"), ("train", "val", "test"), ("Train", "valid", "Test")]
)
def test_subsets_in_all_their_spellings(tmp_path: Path, names: tuple[str, str, str]) -> None:
    found = read(tmp_path, {name: video(name, (1, 2, "x")) for name in names})
    assert found.videos["split"].tolist() == ["train", "val", "test_unannotated"]
    assert found.videos["duration"].tolist() == [20.5] * 3
    assert found.segments[["row", "start", "end", "label"]].to_numpy().tolist()[0] == [
        f"database.{names[0]}.annotations[0]", 1.0, 2.0, "x"
    ]  # fmt: skip


def test_label_ids_are_the_order_of_the_classes(tmp_path: Path) -> None:
    entries = [{"segment": [1, 2], "label": name, "label_id": i} for name, i in (("b", 0), ("a", 4), ("b", 0))]
    assert read(tmp_path, {"v": {"subset": "training", "annotations": entries}}).classes == {"moments": ("b", "a")}
    with pytest.raises(UserError, match=r"database.v.annotations\[1\].label_id is 2, expected 0 of 'b', as elsewhere"):
        read(tmp_path, {"v": {"subset": "training", "annotations": [entries[0], entries[0] | {"label_id": 2}]}})
    with pytest.raises(UserError, match=r"'a' and 'b' have one label_id, 0|'b' and 'a' have one label_id, 0"):
        read(tmp_path, {"v": {"subset": "training", "annotations": [entries[0], entries[1] | {"label_id": 0}]}})


def test_thumos_trains_on_validation(tmp_path: Path) -> None:
    found = read(tmp_path, {"v": video("validation", (1, 2, "x")), "t": video("test", (1, 2, "x")), "u": video("test")})
    assert found.videos["split"].to_dict() == {"v": "train", "t": "val", "u": "val"}
    assert THUMOS in found.skips.to_dict()


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ({}, "database is {}, expected an object with the videos"),
        ({"v": []}, "database.v is [], expected an object"),
        ({"v": video("trian")}, 'database.v.subset is "trian", expected training, validation or testing'),
        ({"v": video("val", duration=0)}, "database.v.duration is 0, expected more than 0"),
        ({"v": video("val", annotations=[{"segment": [1]}])}, "database.v.annotations[0].segment is [1], expected"),
        ({"v": video("val", annotations=[{"segment": [1, "2"], "label": "x"}])}, 'annotations[0].segment is [1, "2"]'),
        ({"v": video("val", annotations=[{"segment": [1, 2], "label": 3}])}, "label is 3, expected a text"),
    ],
)  # fmt: skip
def test_another_shape_is_one_line(tmp_path: Path, database: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, database)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
