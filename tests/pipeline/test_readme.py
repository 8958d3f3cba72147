"""What the README shows is true, and what it tells a user to type works."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.pipeline.conftest import ROOT, Clone

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_length() -> None:
    assert len(README.splitlines()) < 150


def test_table_is_the_committed_one() -> None:
    shown = README.split("<!-- comparison -->")[1].split("<!-- /comparison -->")[0].strip()
    assert shown == (ROOT / "metrics" / "comparison.md").read_text(encoding="utf-8").strip()


def test_picture_shows_every_stage() -> None:
    (picture,) = blocks("mermaid")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(re.findall(r"[a-z_]+", picture.split("\n", 1)[1])) == set(stages)
    for name in stages:
        assert (ROOT / "stages" / f"{name}.py").is_file()


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"(?:^|`|&& )make ([a-z]+)", README, flags=re.MULTILINE))
    assert {"repro", "test"} <= named
    assert named <= targets


def test_named_files_exist() -> None:
    named = re.findall(r"`((?:src|stages|metrics|params|dvc)[\w./]*)`", README)
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


def launchers() -> list[str]:
    return re.findall(r"^launcher: (.+)$", README, flags=re.MULTILINE)


def test_launchers_are_understood_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.run import parse_args

    monkeypatch.setenv("SLURM_NNODES", "2")
    assert len(launchers()) == 3
    for launcher in launchers():
        command = [*shlex.split(os.path.expandvars(launcher)), "-m", "stages.train_single", "ar"]
        found = parse_args(command[command.index("torchrun") + 1 :])
        assert (found.module, found.training_script, found.nproc_per_node) == (True, "stages.train_single", "4")
        assert found.nnodes == ("1:1" if found.standalone else "2")


def test_launchers_reach_the_shell_as_they_are(clone: Clone) -> None:
    for launcher in launchers():
        clone.edit(lambda params, launcher=launcher: params.update(launcher=launcher))
        shown = clone.run("dvc", "repro", "--dry", "--single-item", "train_single@ar").stdout
        assert f"> {launcher} -m stages.train_single ar\n" in shown


def test_commands_work(clone: Clone) -> None:
    tried = 0
    for command in commands():
        if command[0] == "dvc":
            clone.run(*command)
            tried += 1
    assert tried >= 4


def test_published_settings_replace_the_quickstart(clone: Clone, tmp_path: Path) -> None:
    (copy,) = [command for command in commands() if command[0] == "cp"]
    clone.run(*copy)
    assert "train_single" in clone.run("dvc", "stage", "list").stdout
    done = clone.run("python", "-m", "stages.fingerprint", check=False)
    assert "data/raw/ego4d" in done.stderr
