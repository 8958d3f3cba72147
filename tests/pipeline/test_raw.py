"""Raw data outside of the repository, as Ego4D is: what a changed file reruns, and what its place leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from egopack.ego4d.layout import feature_uids
from egopack.ego4d.skips import Skips
from egopack.params import load_params
from egopack.preparation.shards import write_shards
from tests.pipeline.conftest import TASKS, Clone
from tests.pipeline.test_repro import ALWAYS, LAST

PACKS = ("all", "without_ar", "without_mq")
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
KILLER = """
import os, pathlib, signal
replace = pathlib.Path.replace
def killing(self, target):
    if pathlib.Path(target).name.startswith("shard-"):
        if pathlib.Path(target).name == os.environ.get("KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        with open(os.environ["WRITTEN"], "a") as file:
            print(pathlib.Path(target).name, file=file)
    return replace(self, target)
pathlib.Path.replace = killing
"""


@pytest.fixture
def outside(clone: Clone, tmp_path: Path) -> Iterator[Path]:
    """A copy of the corpus elsewhere, named by $EGO4D_ROOT."""
    root = Path(shutil.copytree(clone.path / "data/raw/synthetic", tmp_path / "ego4d"))
    before = dict(clone.environment)
    clone.environment["EGO4D_ROOT"] = str(root)
    yield root
    clone.environment.clear()
    clone.environment.update(before)


def stale(clone: Clone) -> set[str]:
    """Stages of which DVC sees that something they read has changed."""
    found: dict[str, list[object]] = json.loads(clone.run("dvc", "status", "--json").stdout)
    return {name for name, reasons in found.items() if reasons != ["always changed"]}


def of(stages: Sequence[str], keys: Sequence[str]) -> set[str]:
    return {f"{stage}@{key}" for stage in stages for key in keys}


def in_read_only(root: Path, command: Sequence[str]) -> list[str]:
    """The command with `root` mounted read-only, in a mount namespace of its own."""
    rootless = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *rootless, "--mount", "sh", "-c", READ_ONLY, "sh", str(root), *command]


def test_a_read_only_root_behind_a_link_gives_the_same_and_leaves_no_trace(clone: Clone, outside: Path) -> None:
    (outside.parent / "link").symlink_to(outside)
    clone.environment["EGO4D_ROOT"] = os.path.relpath(outside.parent / "link", clone.path)
    touch = in_read_only(outside, ["touch", str(outside / "x")])
    refused = subprocess.run(touch, capture_output=True, text=True, check=False).stderr
    if "Read-only file system" not in refused:
        pytest.skip(f"no read-only mount here: {refused.strip()}")
    head = ["fingerprint", "shard", *of(["index"], TASKS), "count"]
    ran = clone.run(*in_read_only(outside, ["dvc", "repro", "--force", "--single-item", *head])).stdout
    assert all(f"Running stage '{stage}'" in ran for stage in head)
    clone.run(*in_read_only(outside, ["python", "-m", "stages.check"]))
    assert clone.git("status", "--porcelain") == ""  # dvc.lock, manifest and metrics are those of the corpus inside
    assert "ego4d" not in (clone.path / "dvc.lock").read_text().replace("src/egopack/ego4d/", "")
    assert stale(clone) == set()


def test_a_changed_annotation_reruns_the_tasks_that_read_it(clone: Clone, outside: Path) -> None:
    (outside / "annotations" / "v1" / "narration.json").write_text("{}")  # which no task reads
    clone.dvc("repro", "--single-item", "fingerprint")
    assert stale(clone) == set()

    file = outside / "annotations" / "v1" / "moments_train.json"
    moments = json.loads(file.read_text())
    label = moments["videos"][0]["clips"][0]["annotations"][0]["labels"][0]
    label["video_end_frame"] += 30
    file.write_text(json.dumps(moments))
    clone.dvc("repro", "--single-item", "fingerprint")
    assert stale(clone) == {"index@mq"} | LAST
    assert clone.repro("count", *of(["fill_pack"], PACKS)) == {
        *ALWAYS,
        "index@mq",
        "count",
        *of(["fill_pack"], PACKS),
    }
    of_mq = of(["train_single", "evaluate_single", "train_egopack", "evaluate_egopack"], ["mq"])
    assert stale(clone) == LAST | of_mq | of(["train_multi", "evaluate_multi"], ["all", "without_ar"])


def test_a_changed_feature_file_reruns_what_reads_features(clone: Clone, outside: Path) -> None:
    moments = json.loads((outside / "annotations" / "v1" / "moments_val.json").read_text())
    folder = outside / "features" / "egovlp"
    file = next(filter(whole, (folder / f"{video['video_uid']}.pt" for video in moments["videos"])))
    rows = torch.load(file, weights_only=True)
    torch.save(rows + 1, file)
    clone.dvc("repro", "--single-item", "fingerprint")
    assert stale(clone) == {"shard", "count"} | LAST
    assert clone.dvc("repro", "--single-item", "shard", "count") == ["shard", "count"]
    single, multi = ["train_single", "evaluate_single"], ["train_multi", "evaluate_multi", "build_prototypes"]
    assert stale(clone) == LAST | of([*single, "train_egopack", "evaluate_egopack"], TASKS) | of(multi, PACKS)


def whole(file: Path) -> bool:
    try:
        return bool(torch.load(file, weights_only=True).isfinite().all())
    except (OSError, RuntimeError):
        return False


def test_a_stage_killed_among_its_shards_goes_on_after_them(clone: Clone, outside: Path, tmp_path: Path) -> None:
    clone.edit(lambda params: params["data"].update(shard_mb=1))
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    written = tmp_path / "written"
    clone.environment |= {"PYTHONPATH": str(tmp_path), "WRITTEN": str(written), "KILL_AT": "shard-00001.h5"}
    shutil.rmtree(clone.path / "data/shards")
    killed = clone.run("dvc", "repro", "--single-item", "shard", check=False)
    assert killed.returncode != 0
    assert written.read_text().split() == ["shard-00000.h5"]
    del clone.environment["KILL_AT"]
    clone.dvc("repro", "--single-item", "shard")
    assert written.read_text().split() == ["shard-00000.h5", "shard-00001.h5"]

    data = load_params(clone.path / "params.yaml").data
    uids = feature_uids(outside, data.features)
    write_shards(outside, data.features, uids, tmp_path / "whole", skips=Skips(), shard_bytes=1 << 20)
    for path in (tmp_path / "whole").iterdir():
        assert (clone.path / "data/shards" / path.name).read_bytes() == path.read_bytes()
