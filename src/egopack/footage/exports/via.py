"""A project of the VGG Image Annotator 3: temporal segments of videos, whose attributes are tracks."""

from __future__ import annotations

from egopack.ego4d.json_reader import FRAME_LIMIT, Item
from egopack.footage.exports.spans import Export, file_name

PLACES = "regions of one frame, which say where and not what happens when"
WHOLE = "of a whole video, without times"
OTHERS = "attributes that the project does not define"


def read_via(top: Item) -> Export:
    """The temporal segments of all files; UserError for another shape."""
    tables = {key: Item(top.file, top.data.get(key), key, top) for key in ("attribute", "file", "view", "metadata")}
    found = Export()
    for key in tables["metadata"].data:
        region = Item(top.file, tables["metadata"].data[key], key, tables["metadata"])
        view = _entry(tables["view"], region, "vid")
        names = [file for file in view.data.get("fid_list") or () if isinstance(file, str)]
        if not names:
            raise view.wrong("fid_list", "a list with the file of the view")
        video = file_name(Item(top.file, tables["file"].data.get(names[0]), names[0], tables["file"]).text("fname"))
        times = region.data.get("z")
        if type(times) is not list or not all(type(one) in (int, float) and abs(one) < FRAME_LIMIT for one in times):
            raise region.wrong("z", "a list of seconds")
        if len(times) != 2:
            found.skips.add(PLACES if times else WHOLE, f"{key} of {video}")
            continue
        for attribute, value in Item(top.file, region.data.get("av"), "av", region).data.items():
            _add(tables["attribute"], attribute, str(value), (video, float(times[0]), float(times[1])), found)
    return found


def _entry(table: Item, one: Item, key: str) -> Item:
    name = one.text(key)
    if name not in table.data:
        raise one.wrong(key, f"a key of {table.where()}")
    return Item(table.file, table.data[name], name, table)


def _add(attributes: Item, key: str, value: str, where: tuple[str, float, float], found: Export) -> None:
    """Add what an attribute says; of radio buttons, lists and boxes the value is a key of the options, or several."""
    if key not in attributes.data:
        found.skips.add(OTHERS, f"{key} at {where[1]:g} s of {where[0]}")
        return
    attribute = Item(attributes.file, attributes.data[key], key, attributes)
    options = attribute.data.get("options")
    options = options if isinstance(options, dict) else {}
    chosen = [value] if value in options or not options else value.split(",")
    for name in chosen:
        found.add(*where, attribute.text("aname"), str(options.get(name, name)))
