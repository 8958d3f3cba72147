"""What counts of a task: a small project with the names of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.provenance.closure import Closure
from egopack.provenance.project import Code

BASE = """
class Task:
    Params = None
    scale: float = 1.0
    def __init__(self): ...
    def forward(self, x): ...
    def samples(self, source): ...
    def labels(self, source): ...
    def score(self, rows): ...
    @property
    def kind(self): ...
    @staticmethod
    def merge(one, other): ...
"""
TOY = """
from egopack.tasks.base import Task
class Toy(Task):
    scale = 2.0
    def forward(self, x):
        labels = [x, 3]
        return labels
    def samples(self, source):
        return 4
    def score(self, rows):
        return 5
    @property
    def kind(self):
        return 6
    @kind.setter
    def kind(self, value):
        self.x = 7
    @staticmethod
    def merge(one, other):
        return 8
    def _helper(self):
        return 9
"""
NETWORK = "class Network: ...\n"
MAIN = "from egopack.model.network import Network\ndef main(task, rows):\n    return Network()\n"


def digests(folder: Path, toy: str = TOY, main: str = MAIN, **others: str) -> dict[str, str]:
    files = {"tasks/base": BASE, "tasks/toy": toy, "model/network": NETWORK, "main": main}
    for name, text in (files | {name.replace("__", "/"): text for name, text in others.items()}).items():
        path = folder / "egopack" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    return Closure(Code({"egopack": folder / "egopack"}), "egopack.main", ["egopack.tasks.toy"]).digests()


def counts(folder: Path, old: str, new: str, toy: str = TOY, main: str = MAIN) -> bool:
    assert old in toy
    return digests(folder, toy, main) != digests(folder, toy.replace(old, new), main)


@pytest.mark.parametrize(
    ("call", "counting"),
    [
        ("", "3 9"),
        ("task.scale", "2.0 3 9"),
        ("task.kind", "3 6 7 9"),
        ("task.samples(rows)", "3 4 9"),
        ("task.samples(rows, 1)", "3 9"),
        ("task.merge(rows, rows)", "3 8 9"),
        ("partial(task.score)", "3 5 9"),
        ("pool.map(task.samples, rows)", "3 4 9"),
        ("getattr(task, 'score')(rows)", "3 5 9"),
        ("Task.score(self, rows)", "3 5 9"),
    ],
)
def test_members_that_count(call: str, counting: str, tmp_path: Path) -> None:
    """A local name of `forward`, which counts, is `labels`, which does not."""
    main = MAIN.replace("Network()", f"Network(), {call}")
    numbers = ["2.0", *"3456789"]
    assert " ".join(one for one in numbers if counts(tmp_path, one, "77", main=main)) == counting


@pytest.mark.parametrize(
    "header",
    [
        "from egopack.tasks.base import Task\nclass Toy(Task):\n",
        "from egopack.tasks.base import Task as Base\nclass Between(Base): ...\nclass Toy(Between):\n",
        "import egopack.tasks.base\nclass Toy(egopack.tasks.base.Task):\n",
        "from egopack.tasks import base\nclass Toy(base.Task):\n",
        "from egopack.tasks import base\nBase = base.Task\nclass Toy(Base):\n",
        "from egopack.tasks.base import Task\nclass Toy(Task[int]):\n",
        "from egopack.tasks.base import *\nclass Toy(Task):\n",
        "try:\n    from egopack.tasks.base import Task\nexcept ImportError:\n    raise\nclass Toy(Task):\n",
    ],
)
def test_a_class_is_a_task_however_it_names_the_class_above(header: str, tmp_path: Path) -> None:
    toy = f"{header}    def forward(self, x):\n        return 3\n    def score(self, rows):\n        return 5\n"
    assert counts(tmp_path, "3", "7", toy)
    assert not counts(tmp_path, "5", "7", toy)


def test_a_module_in_which_no_task_is_found_counts_as_a_whole(tmp_path: Path) -> None:
    assert counts(tmp_path, "3", "7", "def make(base):\n    class Toy(base):\n        x = 3\n    return Toy\n")


PARAMS = """
class TrainParams(Strict):
    lr: float = 1
    @property
    def steps(self):
        return 2
    @model_validator(mode="after")
    def check(self):
        return 3
"""


@pytest.mark.parametrize(("number", "expected"), [("1", False), ("2", True), ("3", False)])
def test_methods_of_params_count_where_they_are_asked_for(number: str, expected: bool, tmp_path: Path) -> None:
    """Values are noted, with what validators make of them; what else a class computes is code."""
    main = MAIN.replace("Network()", "Network(), rows.steps, rows.lr, rows.check")
    before = digests(tmp_path, main=main, params__training=PARAMS)
    after = digests(tmp_path, main=main, params__training=PARAMS.replace(number, "7"))
    assert (before != after) == expected
    unasked = [digests(tmp_path, params__training=text) for text in (PARAMS, PARAMS.replace(number, "7"))]
    assert unasked[0] == unasked[1]
