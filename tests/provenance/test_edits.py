"""Edits that hide from a search by names: each changes what a toy program does, so its digests must change too."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.provenance.closure import Closure
from egopack.provenance.project import Code

Files = dict[str, str]
MAIN = "p.main"


class Toy(Code):
    """A project without tasks."""

    contract = {}  # noqa: RUF012


def closure(folder: Path, files: Files) -> Closure:
    for name in ("p/__init__.py", *files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files.get(name, ""))
        (path.parent / "__init__.py").touch()
    return Closure(Toy({"p": folder / "p"}), MAIN)


def main(text: str, **others: str) -> Files:
    """p/main.py and others: `a__b` is p/a/b.py."""
    return {"p/main.py": text} | {f"p/{name.replace('__', '/')}.py": other for name, other in others.items()}


ONE = "def f():\n    return 1\n"
USES = "def main():\n    return f()\n"
COUNTS = {
    "an import of another library": main("from math import floor as f\n" + USES),
    "an import of a library under the same name": main("import math as f\ndef main():\n    return f.floor(1)\n"),
    "try: import": main("try:\n    from p.a import f\nexcept ImportError:\n    f = None\n" + USES, a=ONE),
    "the other import of a try": main(
        "try:\n    from p.b import f\nexcept ImportError:\n    from p.a import f\n" + USES, a=ONE, b="def f(): ...\n"
    ),
    "import *": main("from p.a import *\n" + USES, a=ONE),
    "import * twice": main("from p.b import *\n" + USES, a=ONE, b="from p.a import *\n"),
    "import a.b.c": main("import p.a.b\ndef main():\n    return p.a.b.f()\n", a__b=ONE),
    "a module of a package": main("import p.a.b\nfrom p import a\ndef main():\n    return a.b.f()\n", a__b=ONE),
    "a module that another has": main(
        "from p import b\ndef main():\n    return b.a.f()\n", a=ONE, b="from p import a\nused = a\n"
    ),
    "imports of two functions": main(
        "def main():\n    def one():\n        from p.a import f\n        return f()\n"
        "    def two():\n        from p.b import f\n        return f()\n    return one() + two()\n",
        a=ONE,
        b="def f(): ...\n",
    ),
    "an import into a name that is None at first": main(
        "def main(on):\n    f = None\n    if on:\n        from p.a import f\n    return f()\n", a=ONE
    ),
    "an import of one function, a name of the module in another": main(
        "from p.a import f\nclass Main:\n    def one(self):\n        from p.b import f\n        return f\n"
        "    def two(self):\n        return f()\n",
        a=ONE,
        b="def f(): ...\n",
    ),
    "the else of if TYPE_CHECKING, in a function": main(
        "from typing import TYPE_CHECKING\nfrom p import a\ndef main():\n    if TYPE_CHECKING:\n        pass\n"
        "    else:\n        return a.f()\n",
        a=ONE,
    ),
    "a default of the same name": main("from p.a import f\ndef main(f=f):\n    return f()\n", a=ONE),
    "a default of a lambda": main("from p.a import f\nmain = lambda f=f(): f\n", a=ONE),
    "the name of a comprehension": main(
        "from p.a import f\ndef main(rows):\n    return [f for f in rows] + f()\n", a=ONE
    ),
    "the iterable of a comprehension": main("from p.a import f\ndef main():\n    return [f for f in f()]\n", a=ONE),
    "a global name in a function inside": main(
        "from p.a import f\ndef main():\n    f = 1\n    def inner():\n        global f\n        return f()\n"
        "    return inner\n",
        a=ONE,
    ),
    "a decorator that registers": main(
        "from p.b import TABLE\nimport p.a\ndef main(name):\n    return TABLE[name]()\n",
        a="from p.b import register\n@register('f')\n" + ONE,
        b="TABLE = {}\ndef register(name):\n    return lambda f: TABLE.setdefault(name, f)\n",
    ),
    "a table in the same module": main(
        "from p import a\ndef main(name):\n    return a.make(name)\n",
        a="TABLE = {}\ndef register(f):\n    TABLE[f.__name__] = f\n    return f\n\n\n@register\n"
        + ONE
        + "def make(name):\n    return TABLE[name]()\n",
    ),
    "functools.singledispatch": main(
        "from functools import singledispatch\n@singledispatch\ndef main(x): ...\nfrom p import a\n",
        a="from p import main\n@main.main.register(int)\n" + ONE,
    ),
    "__init_subclass__": main(
        "from p.b import ALL\nimport p.a\ndef main():\n    return ALL\n",
        a="from p.b import Base\nclass A(Base):\n    def f(self):\n        return 1\n",
        b="ALL = []\nclass Base:\n    def __init_subclass__(cls):\n        ALL.append(cls)\n",
    ),
    "a module that is imported for what it does": main("import p.a\ndef main(): ...\n", a="print(1)\n"),
    "a module imported by one that is imported": main(
        "from p.b import g\ndef main():\n    return g\n", a="print(1)\n", b="import p.a\ng = 2\n"
    ),
    "a value that nobody asks for": main("import p.a\ndef main(): ...\n", a="_ = print(1)\n"),
    "importlib": main("from importlib import import_module\ndef main():\n    import_module('p.a').f()\n", a=ONE),
    "getattr of a module": main("from p import a\ndef main(name):\n    return getattr(a, name)()\n", a=ONE),
    "getattr of a name": main("from p import a\ndef main():\n    return getattr(a, 'f', None)()\n", a=ONE),
    "globals": main(
        "from p import a\ndef main():\n    return a.g('f')\n", a=ONE + "def g(name): return globals()[name]()"
    ),
    "__getattr__ of a module": main(
        "from p import a\ndef main():\n    return a.anything\n", a="def __getattr__(name):\n    return 1\n"
    ),
    "a function in a table": main(
        "from p.a import TABLE\ndef main(name):\n    return TABLE[name]()\n", a=ONE + "TABLE = {'f': f}\n"
    ),
    "a constant that is added to": main("from p.a import X\ndef main():\n    return X\n", a="X = 0\nX += 1\n"),
    "a constant under a condition": main(
        "from p.a import X\ndef main():\n    return X\n", a="import sys\nif sys.argv:\n    X = 1\nelse:\n    X = 2\n"
    ),
    "a constant by unpacking": main("from p.a import X\ndef main():\n    return X\n", a="(X, *Y), Z = (1, 2), 3\n"),
    "a class above, in another module": main(
        "from p.b import B\ndef main():\n    return B()\n",
        a="class A:\n    @property\n    def f(self):\n        return 1\n",
        b="from p import a\nclass B(a.A): ...\n",
    ),
    "partial of a method": main(
        "from functools import partial\nfrom p.a import A\nmain = partial(A.f, 2)\n",
        a="class A:\n    def f(self):\n        return 1\n",
    ),
    "a default of a dataclass": main(
        "from p.a import A\ndef main():\n    return A().x\n", a="@dataclass\nclass A:\n    x: int = 1\n"
    ),
}
ELSEWHERE = {
    "an import of another library": ("floor", "ceil"),
    "an import of a library under the same name": ("import math", "import cmath"),
}


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_what_counts(name: str, tmp_path: Path) -> None:
    files = COUNTS[name]
    file = "p/main.py" if name in ELSEWHERE else next(one for one in ("p/a.py", "p/a/b.py") if one in files)
    old, new = ELSEWHERE.get(name, ("1", "7"))
    assert old in files[file]
    before = closure(tmp_path, files).digests()
    assert closure(tmp_path, files | {file: files[file].replace(old, new)}).digests() != before


def test_imports_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Both functions count anyway, and which of them is called here is decided by the import alone."""
    text = "from p.a import f as g\nfrom p import a\ndef main():\n    return g(), a.f, a.h\n"
    files = main(text, a=ONE + "def h():\n    return 2\n")
    before = closure(tmp_path, files).digests()
    after = closure(tmp_path, files | {"p/main.py": text.replace("import f as g", "import h as g")}).digests()
    assert before != after
    assert before["p.a"] == after["p.a"]


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("def main():\n    if 1:\n        x: A = 1\n    return x\n", "x: A", "x: B"),
        ("class Main:\n    def f(self):\n        self.x: A = 1\n", "x: A", "x: B"),
        ("import typing\nif typing.TYPE_CHECKING:\n    import x\ndef main(): ...\n", "import x", "import y"),
        ("import numpy as np\ndef main(x: np.ndarray): ...\n", "import numpy", "import numpy.typing"),
    ],
)
def test_what_only_type_checkers_read_does_not_count(text: str, old: str, new: str, tmp_path: Path) -> None:
    assert old in text
    before = closure(tmp_path, main(text)).digests()
    assert closure(tmp_path, main(text.replace(old, new))).digests() == before


def test_annotations_inside_of_functions_are_not_followed(tmp_path: Path) -> None:
    text = "from p.a import A\ndef main(rows):\n    for row in rows:\n        one: A = row\n    return one\n"
    assert ("p.a", "A") not in closure(tmp_path, main(text, a="class A: ...\n")).symbols


def test_functions_of_the_compiled_module(tmp_path: Path) -> None:
    text = "import egopack_native as native\ndef main(name):\n    return native.nms, native.__file__, native\n"
    assert closure(tmp_path, main(text)).compiled == {"nms", "*"}
    assert closure(tmp_path, main(text.replace(", native\n", "\n"))).compiled == {"nms"}
    assert closure(tmp_path, main(text.replace(", native\n", ", getattr(native, 'drop')\n"))).compiled == {
        "nms",
        "drop",
    }
