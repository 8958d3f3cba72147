"""Archives that are made to do harm: one line, in little time and memory, and nothing of ours is changed."""

from __future__ import annotations

import pickle
import resource
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egopack.errors import UserError
from egopack.published import torch_archive
from egopack.published.checkpoint import import_published
from egopack.published.torch_archive import Stub, read_foreign
from tests.conftest import PARITY_DIR
from tests.parity.test_published import archive, plain

PUBLISHED = next((PARITY_DIR / "published").glob("*.pth"))


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def refused(path: Path, *, most_s: float = 20.0) -> str:
    """The one line that importing ends in."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as caught:
        import_published(path)
    assert time.process_time() - began < most_s
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < len(str(path)) + 600
    return message


def nested(depth: int) -> bytes:
    """A tuple of two of the tuples of two ..., small in memory, and endless to whoever looks at all of it."""
    return b")" + b"2\x86" * depth


NUMBER = b"\x8b" + struct.pack("<I", 4000) + b"\x7f" * 4000
PICKLES: dict[str, bytes] = {
    "a key of nested tuples": b"}" + nested(60) + b"Ns.",
    "a dict of old of nested tuples": b"(" + nested(60) + b"Nd.",
    "items of nested tuples": b"}(" + nested(60) + b"Nu.",
    "an ordered dict of nested tuples": b"ccollections\nOrderedDict\n](" + nested(60) + b"N\x86e\x85R.",
    "a number of thousands of digits": b"}" + text("model") + NUMBER + b"s.",
    "a text of thousands of digits": b"L" + b"9" * 5000 + b"L\n.",
    "room without an end": b"\x96" + struct.pack("<Q", 1 << 40) + b".",
    "a place in the memo far away": b"Nr\xff\xff\xff\xff.",
    "a long text": b"\x8d" + struct.pack("<Q", 1 << 60) + b".",
    "an endless frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
    "nothing": b".",
    "no end": b"}",
    "a list in itself": b"]2a.",
    "a dict in itself": b"}2" + text("model") + b"2s.",
    "a call of a tensor": b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "a call of a text": text("model") + b")R.",
    "an extension": b"\x82\x01.",
    "an item of a function": b"ctorch._utils\n_rebuild_tensor_v2\n" + text("a") + b"Ns.",
    "a reference to a tuple": nested(60) + b"Q.",
    "a key of a class": b"}ca\nb\nNs.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_pickles(name: str, tmp_path: Path) -> None:
    refused(archive(tmp_path / "evil.pth", PICKLES[name]))


def test_a_long_list_of_pairs_is_not_read_again_and_again(tmp_path: Path) -> None:
    pairs = b"](" + b"".join(text(str(k)) + b"N\x86" for k in range(20_000)) + b"e\x85q\x000"
    calls = b"(" + b"ccollections\nOrderedDict\nh\x00R" * 20_000 + b"l."
    refused(archive(tmp_path / "evil.pth", pairs + calls))


def test_state_changes_nothing_of_ours(tmp_path: Path) -> None:
    """BUILD sets attributes, and everything that a pickle can name is ours."""
    for module, name in (("torch._utils", "_rebuild_tensor_v2"), ("collections", "OrderedDict"), ("a", "b")):
        target = f"c{module}\n{name}\n".encode()
        for state in (b"}" + text("evil") + b"Ns", b"N}" + text("evil") + b"Ns\x86"):
            read_foreign(archive(tmp_path / "evil.pth", target + state + b"b."))
    for one in (torch_archive._Reader.tensor, torch_archive._first, torch_archive._Mapping, Stub, OrderedDict):
        assert not hasattr(one, "evil")
    made = read_foreign(archive(tmp_path / "evil.pth", b"ccollections\nOrderedDict\n)R}" + text("evil") + b"Nsb."))
    assert made == {}
    assert not hasattr(made, "evil")


def zipped(path: Path, *entries: tuple[str, bytes, int]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content, how in entries:
            file.writestr(name, content, how)
    return path


def test_no_entry_unfolds(tmp_path: Path) -> None:
    whole = pickle.dumps({"model": {}}, 2)
    for name in ("a/byteorder", "a/data.pkl"):
        other = {"a/data.pkl": (whole, zipfile.ZIP_STORED), "a/byteorder": (b"little", zipfile.ZIP_STORED)}
        other[name] = (b"\0" * (1 << 28), zipfile.ZIP_DEFLATED)
        path = zipped(tmp_path / "bomb.pth", *((key, content, how) for key, (content, how) in other.items()))
        assert "compressed" in refused(path)


def tensors(count: int, shape: tuple[int, ...], numbers: int, key: str = "0") -> bytes:
    def number(value: int) -> bytes:
        return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(numbers) + b"tQ"
    sizes = b"(" + b"".join(map(number, shape)) + b"t"
    strides = b"(" + b"".join(number(0) for _ in shape) + b"t"
    one = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + sizes + strides + b"\x89)tR"
    return b"](" + one * count + b"e."


def test_tensors_are_no_larger_than_the_file(tmp_path: Path) -> None:
    data = np.ones(250_000, np.float32).tobytes()
    good = read_foreign(archive(tmp_path / "good.pth", tensors(3, (250_000,), 250_000), **{"0": data}))
    assert [len(one) for one in good] == [250_000] * 3
    assert "in a storage of" in refused(archive(tmp_path / "e.pth", tensors(2000, (250_000,), 250_000), **{"0": data}))
    for shape in ((10**12, 0), (2**62, 2**62), (-1,), (1,) * 100):
        refused(archive(tmp_path / "e.pth", tensors(1, shape, 250_000), **{"0": data}))
    refused(archive(tmp_path / "e.pth", tensors(1, (1,), 10**12), **{"0": data}))


def changed(path: Path, change: Callable[[Any], Any]) -> Path:
    content = plain(read_foreign(PUBLISHED))
    change(content)
    torch.save(content, path)
    return path


NINES = "9" * 5000
CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a level far up": (
        lambda parts: parts["model"].update({"layers.9999.module_0.weight": torch.ones(1)}),
        "levels: Input should be less than or equal to 24 (got 10000)"),
    "a level beyond": (
        lambda parts: parts["model"].update({"layers.1000000000.module_0.weight": torch.ones(1)}), "unknown keys"),
    "a level of many digits": (
        lambda parts: parts["model"].update({f"layers.{NINES[:400]}.module_0.weight": torch.ones(1)}), "unknown keys"),
    "a module of many digits": (
        lambda parts: parts["model"].update({f"layers.0.module_{NINES[:400]}.lin_rel.weight": torch.ones(1)}),
        "unknown keys"),
    "a long key": (lambda parts: parts["model"].update({NINES: torch.ones(1)}), "a key that is no text or number, or"),
    "many keys": (
        lambda parts: parts["model"].update({f"proj.{k}.weight": torch.ones(1) for k in range(5000)}),
        "not a state dict of at most 4096 tensors"),
    "keys that count": (
        lambda parts: parts["model"].update({f"proj.{k}.weight": torch.ones(1) for k in range(3000)}), "of a shape"),
    "a key that is a number": (lambda parts: parts["model"].update({7: torch.ones(1)}), "dict of tensors: 7"),
    "a task that is a number": (lambda parts: parts["task"].update({7: {}}), "task 7: not one of"),
    "a part that is a number": (lambda parts: [parts.update({7: {}}), parts["model"].update(a=torch.ones(1))], "1 un"),
    "a key of two lines": (lambda parts: parts["model"].update({"a\nb": torch.ones(1)}), r"1 unknown keys: a\nb"),
    "a wide network": (
        lambda parts: parts["model"].update({"proj.1.bias": torch.ones(1 << 20)}), "hidden: Input should be less than"),
    "no rows": (lambda parts: parts["model"].update({"proj.1.bias": torch.ones(0)}), "hidden: Input should be greater"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_weights(name: str, tmp_path: Path) -> None:
    change, message = CHANGES[name]
    assert message in refused(changed(tmp_path / "evil.pth", change))
