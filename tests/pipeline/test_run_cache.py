"""DVC gives back what was computed before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.conftest import IDENTITY, ROOT, Clone
from tests.pipeline.test_readme import MANY, commands

COMPUTE = ("shard", "index@", "train_", "build_prototypes@", "evaluate_")  # what is not to be done twice


def computed(ran: Iterable[str]) -> list[str]:
    return [name for name in ran if name.startswith(COMPUTE)]


def rate(clone: Clone, task: str, value: float) -> None:
    clone.edit(lambda params: params["tasks"][task]["train"].update(lr=value))


def test_what_was_tried_before_is_given_back(clone: Clone) -> None:
    first = (clone.path / "metrics/single/ar.json").read_text()
    kept = (clone.path / "params.yaml").read_text()
    rate(clone, "ar", 0.03)
    assert {"train_single@ar", "evaluate_single@ar"} <= set(computed(clone.repro("evaluate_single@ar")))
    second = (clone.path / "metrics/single/ar.json").read_text()
    assert second != first
    for text, expected in ((kept, first), (None, second)):
        if text is None:
            rate(clone, "ar", 0.03)
        else:
            (clone.path / "params.yaml").write_text(text)
        assert computed(clone.repro("evaluate_single@ar")) == []
        assert (clone.path / "metrics/single/ar.json").read_text() == expected


def test_a_lock_that_was_cut(clone: Clone) -> None:
    """As README says: taken back from git, and what ran since comes from the cache."""
    rate(clone, "mq", 0.007)
    assert computed(clone.repro("evaluate_single@mq"))
    lock = clone.path / "dvc.lock"
    lock.write_bytes(lock.read_bytes()[:700])
    clone.git("checkout", "dvc.lock")
    assert computed(clone.repro("evaluate_single@mq")) == []


def test_what_a_colleague_ran(clone: Clone, tmp_path: Path) -> None:
    """As stages/README.md says: pushed with the run cache, and pulled in a clone whose own cache has nothing."""
    push, pull, again = (line for line in commands(MANY) if set(line) & {"--run-cache", "--pull"})
    metrics, store = Path("metrics/single/ar.json"), str(tmp_path / "store")
    clone.run("dvc", "remote", "add", "--quiet", "--default", "store", store)
    clone.run("dvc", "push", "--quiet")
    rate(clone, "ar", 7e-4)
    assert computed(clone.repro("evaluate_single@ar"))
    expected = (clone.path / metrics).read_text()
    clone.run(*push)

    colleague = Clone(tmp_path / "colleague")
    clone.git("clone", "--quiet", ".", str(colleague.path))
    colleague.run("dvc", "remote", "add", "--quiet", "--default", "store", store)
    colleague.run(*pull)
    assert (colleague.path / metrics).read_text() != expected
    assert computed(colleague.dvc(*again[1:], "evaluate_single@ar")) == []
    assert (colleague.path / metrics).read_text() == expected


@pytest.fixture
def branching(clone: Clone) -> Iterator[Clone]:
    """The clone, on its own branch again afterwards."""
    yield clone
    clone.git("checkout", "--quiet", "--force", "main")
    clone.git("branch", "--quiet", "-D", "slow", "fast")


@pytest.mark.drill
def test_a_merge_of_two_that_changed_different_tasks(branching: Clone) -> None:
    clone, found = branching, {}
    targets = ("evaluate_single@ar", "evaluate_single@mq")
    for branch, task, value in (("slow", "ar", 0.0021), ("fast", "mq", 0.0022)):
        clone.git("checkout", "--quiet", "-b", branch, "main")
        rate(clone, task, value)
        assert set(computed(clone.repro(*targets))) == {f"train_single@{task}", f"evaluate_single@{task}"}
        found[task] = (clone.path / f"metrics/single/{task}.json").read_text()
        clone.commit()
    clone.run("git", *IDENTITY, "merge", "--quiet", "--no-commit", "slow", check=False)  # dvc.lock may conflict
    clone.git("checkout", "fast", "--", "dvc.lock")  # then one of its sides is taken
    assert computed(clone.repro(*targets)) == []
    assert {task: (clone.path / f"metrics/single/{task}.json").read_text() for task in found} == found


ALWAYS = {"fingerprint_code", "fingerprint"}
SHORT = {"shard", "count", "compare", "publish"}  # shard goes on where it was stopped instead


def paths(listed: list[Any], *, cached: bool) -> set[str]:
    """Of the outputs in a list of dvc.yaml those that DVC caches, or those that git keeps."""
    outs = [out if isinstance(out, dict) else {out: {}} for out in listed]
    return {path for out in outs for path, options in out.items() if options.get("cache", True) is cached}


def test_whatever_takes_long_is_in_the_run_cache_and_on_the_remote() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert stages.keys() > ALWAYS | SHORT
    for name in stages.keys() - ALWAYS - SHORT:
        stage = stages[name].get("do", stages[name])
        outs = stage["outs"]
        assert not paths(outs, cached=False), f"{name}: cache: false under outs keeps a stage out of the run cache"
        git = paths([*stage.get("metrics", []), *stage.get("plots", [])], cached=False)
        kept = {path.replace("metrics/", "data/kept/", 1) for path in git}
        assert kept <= paths(outs, cached=True), f"{name}: DVC pushes nothing of {git}"


def test_what_others_depend_on_stands_alone() -> None:
    """`dvc repro --allow-missing` overlooks that a file inside another stage's output is another one; of what git keeps
    nothing is ever missing.
    """
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    blocks = {name: stage.get("do", stage) for name, stage in stages.items()}
    outs = {path for block in blocks.values() for path in paths(block.get("outs", []), cached=True)}
    assert {"data/shards", "data/videos.csv", "data/models/single/${key}"} <= outs
    for name, block in blocks.items():
        inside = {dep for dep in block.get("deps", []) for out in outs if dep.startswith(f"{out}/")}
        assert not inside, f"{name} depends on what lies inside an output"
