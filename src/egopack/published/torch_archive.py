"""Read what `torch.save` wrote without running any code that the file names.

A checkpoint of torch is a zip archive: `data.pkl`, a pickle that builds containers and refers to storages, and one file
of raw bytes a storage. Unpickling calls whatever the pickle names; here it can name nothing but containers and tensors,
and every other class becomes an inert stub that swallows its arguments and its state.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from egopack.errors import UserError

STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
CONTAINERS = {"dict": dict, "list": list, "set": set, "tuple": tuple, "int": int, "float": float, "bool": bool}
DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RecursionError,
    RuntimeError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
)


class Stub:
    """Stands for an object of a class that is not loaded: takes what a pickle gives, and keeps nothing."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Stub:
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Arguments are dropped."""

    def __setstate__(self, state: Any) -> None:
        """The state is dropped."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Items are dropped."""

    def append(self, value: Any) -> None:
        """Values are dropped."""

    def extend(self, values: Any) -> None:
        """Values are dropped."""

    def add(self, value: Any) -> None:
        """Values are dropped."""


class _Mapping(OrderedDict[Any, Any]):
    """An OrderedDict that takes items but no attributes, such as the `_metadata` of a state dict."""

    def __setstate__(self, state: Any) -> None:
        """The state is dropped."""


def read_foreign(path: Path | str) -> Any:
    """Containers, numbers, texts and tensors (on the CPU) of a file by `torch.save`, with stubs for all else.

    Raises:
        UserError: the file is missing, damaged, or not such a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if info.filename.endswith("/data.pkl")]
            if len(names) != 1:
                raise UserError(f"{path}: not a checkpoint by torch.save: {len(names)} files data.pkl in the archive")
            return _Reader(archive, names[0].removesuffix("data.pkl")).load()
    except zipfile.BadZipFile:
        raise UserError(
            f"{path}: not a zip archive, which torch.save writes since torch 1.6; "
            "is the download whole? An older file must be saved again with a newer torch"
        ) from None
    except DAMAGE as error:
        raise UserError(f"{path}: not a whole checkpoint by torch.save: {type(error).__name__}: {error}") from None


class _Reader(pickle.Unpickler):
    """Unpickler whose world consists of containers, tensors and stubs."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(_bytes(archive, f"{folder}data.pkl")), encoding="utf-8")
        self.archive, self.folder = archive, folder
        order = f"{folder}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("its numbers are big-endian; save it again on a little-endian machine")
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _rebuild_tensor
        if module == "torch._utils" and name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            return _first
        if module == "collections" and name == "OrderedDict":
            return _Mapping
        if module in ("builtins", "__builtin__") and name in CONTAINERS:
            return CONTAINERS[name]
        return type(name, (Stub,), {"__module__": module})

    def persistent_load(self, pid: Any) -> Tensor:
        kind, storage, key, _, count = pid
        if kind != "storage" or not isinstance(key, str) or not isinstance(count, int):
            raise ValueError(f"unknown reference {kind!r}")
        if key not in self.storages:
            dtype = STORAGES.get(storage.__name__)
            if dtype is None or not issubclass(storage, Stub):
                raise ValueError(f"unknown storage {storage!r}")
            data = _bytes(self.archive, f"{self.folder}data/{key}")
            values = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
            if len(values) < (count if dtype != torch.uint8 else 0):
                raise ValueError(f"storage {key} has {len(values)} numbers, not {count}")
            self.storages[key] = values
        return self.storages[key]


def _bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    """An entry, which torch never compresses: a small file cannot unfold into a large one."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, which torch.save never does")
    return archive.read(name)


def _rebuild_tensor(storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> Tensor:
    """The tensor of that shape in a storage, copied."""
    if not isinstance(storage, Tensor):
        raise ValueError("a tensor without a storage")
    shape = torch.Size(size)
    if shape.numel() > len(storage):
        raise ValueError(f"a tensor of shape {tuple(shape)} in a storage of {len(storage)}")
    return storage.as_strided(shape, tuple(stride), offset).clone()


def _first(value: Any, *rest: Any) -> Tensor:
    """A parameter is its tensor."""
    return cast(Tensor, value)
