"""Read what `torch.save` wrote without running any code that the file names.

A checkpoint of torch is a zip archive: `data.pkl`, a pickle that builds containers and refers to storages, and one file
of raw bytes a storage. Unpickling calls whatever the pickle names; here nothing is called but what makes containers and
tensors, and every other class becomes an inert stub.
"""

from __future__ import annotations

import errno
import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from egopack.errors import UserError, refused

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
SAFE = (  # instructions of a pickle that do no more than to put numbers, texts and empty containers on the stack
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK, pickle.DUP),
    *(pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2),
    *(pickle.LONG, pickle.LONG1, pickle.FLOAT, pickle.BINFLOAT, pickle.BINBYTES, pickle.SHORT_BINBYTES),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.UNICODE, pickle.BINUNICODE),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2),
    *(pickle.TUPLE3, pickle.EMPTY_LIST, pickle.LIST, pickle.EMPTY_DICT, pickle.GLOBAL, pickle.STACK_GLOBAL),
    *(pickle.PERSID, pickle.BINPERSID),
)
MOST_PICKLED = 8 << 20  # bytes of data.pkl; that of a network of a thousand weights has 100 kB
MOST_DIMENSIONS = 64
LONGEST_KEY = 500
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
    """Stands for an object of a class that is not loaded, and keeps nothing of what a pickle gives it."""


class _Mapping(OrderedDict[Any, Any]):
    """An OrderedDict, told apart from what a pickle may not call."""


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
            return _Reader(archive, names[0].removesuffix("data.pkl"), Path(path).stat().st_size).load()
    except zipfile.BadZipFile:
        raise UserError(
            f"{path}: not a zip archive, which torch.save writes since torch 1.6; "
            "is the download whole? An older file must be saved again with a newer torch"
        ) from None
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # which seeking to nowhere gives
            raise refused(path, error) from None
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{path}: not a whole checkpoint by torch.save: {reason}") from None


class _Reader(pickle._Unpickler):  # the one in Python: of the one in C, no instruction can be replaced
    """Unpickler whose world consists of containers, tensors and stubs.

    It knows the instructions in SAFE and the methods below, no others. None of them calls or changes anything but
    containers that it has made itself; their keys are texts and numbers, since to hash nested tuples can take forever.
    Every instruction adds at most as much as it is long, so that time and memory are those of the file.
    """

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, archive: zipfile.ZipFile, folder: str, size: int) -> None:
        super().__init__(io.BytesIO(_bytes(archive, f"{folder}data.pkl", MOST_PICKLED)), encoding="utf-8")
        self.archive, self.folder = archive, folder
        self.bytes_left = self.numbers_left = size  # no tensors without an end from a file that has one
        order = f"{folder}byteorder"
        if order in archive.namelist() and _bytes(archive, order, 100) != b"little":
            raise ValueError("its numbers are big-endian; save it again on a little-endian machine")
        self.storages: dict[str, Tensor] = {}
        self.rebuild = self.tensor
        self.kinds: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): self.rebuild,
            ("torch._utils", "_rebuild_parameter"): _first,
            ("torch._utils", "_rebuild_parameter_with_state"): _first,
            ("collections", "OrderedDict"): _Mapping,
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.kinds:
            self.kinds[module, name] = type(name, (Stub,), {"__module__": module})
        return self.kinds[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        kind, storage, key, _, count = pid
        if kind != "storage" or not isinstance(key, str) or not isinstance(count, int):
            raise ValueError("an unknown kind of reference")
        if key not in self.storages:
            dtype = STORAGES.get(storage.__name__) if isinstance(storage, type) and issubclass(storage, Stub) else None
            if dtype is None:
                raise ValueError("a storage of an unknown kind")
            data = _bytes(self.archive, f"{self.folder}data/{key}", self.bytes_left)
            self.bytes_left -= len(data)
            values = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
            if len(values) < (count if dtype != torch.uint8 else 0):
                raise ValueError(f"storage {key} has {len(values)} numbers, not as many as it says")
            self.storages[key] = values
        return self.storages[key]

    def tensor(self, storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> Tensor:
        """The tensor of that shape in a storage, copied."""
        if not isinstance(storage, Tensor) or not isinstance(size, tuple) or len(size) > MOST_DIMENSIONS:
            raise ValueError("a tensor without a storage or a shape")
        shape = torch.Size(size)
        self.numbers_left -= shape.numel()
        if shape.numel() > len(storage) or self.numbers_left < 0:
            raise ValueError(f"a tensor of shape {tuple(shape)} in a storage of {len(storage)}")
        if shape.numel() == 0 and max(shape) > len(storage):
            raise ValueError(f"an empty tensor of shape {tuple(shape)}")
        return storage.as_strided(shape, tuple(stride), offset).clone()

    # --- instructions, each of which takes its arguments from the stack
    def put_items(self) -> None:
        items = self.pop_mark()
        self.put(self.stack[-1], items)

    def put_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.put(self.stack[-1], [key, value])

    def new_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self.put(self.stack[-1], items)

    def put(self, target: Any, items: list[Any]) -> None:
        """Put keys and values, in turn, into a dict of ours; a stub drops them."""
        if type(target) not in (dict, _Mapping):
            _is_stub(target)
            return
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not (isinstance(key, str) and len(key) <= LONGEST_KEY) and type(key) not in (int, float, bool):
                raise ValueError("a key that is no text or number, or too long")
            target[key] = value

    def extend(self) -> None:
        self.add(self.pop_mark())

    def extend_by_one(self) -> None:
        self.add([self.stack.pop()])

    def add(self, items: list[Any]) -> None:
        """Add to a list of ours; a stub drops the items."""
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(items)
        else:
            _is_stub(self.stack[-1])

    def new_stub(self) -> None:
        self.append(Stub())

    def new_stub_from_mark(self) -> None:
        self.pop_mark()
        self.append(Stub())

    def drop_items(self) -> None:
        self.pop_mark()
        _is_stub(self.stack[-1])

    def drop_state(self) -> None:
        self.stack.pop()

    def call(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if kind is self.rebuild or kind is _first:
            self.append(kind(*arguments[:MOST_DIMENSIONS]))
        else:
            self.append(self.made(kind, arguments))

    def new_object(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.append(self.made(kind, arguments))

    def new_object_by_name(self) -> None:
        self.stack.pop()
        self.new_object()

    def made(self, kind: Any, arguments: Any) -> Any:
        """An object of a kind that is not called: a stub, or an OrderedDict, perhaps of a list of pairs."""
        if kind is not _Mapping:
            if not (isinstance(kind, type) and issubclass(kind, Stub)):
                raise ValueError("a call of something that is no class")
            return Stub()
        made, pairs = _Mapping(), arguments[0] if arguments else []
        self.numbers_left -= len(pairs)
        if self.numbers_left < 0 or any(len(pair) != 2 for pair in pairs):
            raise ValueError("an OrderedDict of something other than pairs")
        for pair in pairs:
            self.put(made, list(pair))
        return made

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]] for code in SAFE
    } | {
        pickle.SETITEM[0]: put_item,
        pickle.SETITEMS[0]: put_items,
        pickle.DICT[0]: new_dict,
        pickle.APPEND[0]: extend_by_one,
        pickle.APPENDS[0]: extend,
        pickle.EMPTY_SET[0]: new_stub,
        pickle.FROZENSET[0]: new_stub_from_mark,
        pickle.INST[0]: new_stub_from_mark,
        pickle.OBJ[0]: new_stub_from_mark,
        pickle.ADDITEMS[0]: drop_items,
        pickle.BUILD[0]: drop_state,
        pickle.REDUCE[0]: call,
        pickle.NEWOBJ[0]: new_object,
        pickle.NEWOBJ_EX[0]: new_object_by_name,
    }


def _is_stub(value: Any) -> None:
    if not isinstance(value, Stub):
        raise ValueError("items of something that is no container")


def _bytes(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """An entry, which torch never compresses: a small file cannot unfold into a large one."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, which torch.save never does")
    if entry.file_size > most:
        raise ValueError(f"{name} is larger than it can be")
    return archive.read(name)


def _first(value: Any, *rest: Any) -> Tensor:
    """A parameter is its tensor."""
    return cast(Tensor, value)
