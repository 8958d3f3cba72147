"""What the README shows is true, and what it tells a user to type works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from egopack.evaluation.comparison import ARROWS, COLUMNS, markdown, read_comparison, unit
from egopack.evaluation.paired import differences, over
from egopack.files import read_json
from egopack.model.checkpoint import load_checkpoint
from egopack.params.study import load_study
from egopack.tasks.base import load_task
from tests.conftest import PARITY_DIR
from tests.pipeline.conftest import ROOT, Clone
from tests.support.videos import write_video

README = (ROOT / "README.md").read_text(encoding="utf-8")
MANY = (ROOT / "stages/README.md").read_text(encoding="utf-8")  # stages, ranks, machines


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str = README) -> list[list[str]]:
    lines = [line for block in blocks("sh", text) for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_length() -> None:
    lines = README.splitlines()
    assert len(lines) < 200
    assert [line for line in lines if len(line) > 120] == []


def test_table_is_the_committed_one() -> None:
    shown = README.split("<!-- comparison -->")[1].split("<!-- /comparison -->")[0].strip()
    tasks = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["tasks"]
    assert shown == markdown(read_comparison(ROOT / "metrics", tasks)).strip()


def test_the_studys_table_is_the_committed_one_and_none_where_none_ran() -> None:
    shown = README.split("<!-- study -->")[1].split("<!-- /study -->")[0].strip()
    runs, plan = ROOT / "metrics/study.csv", load_study(ROOT / "params.study.yaml")
    rows = pd.read_csv(runs) if runs.exists() else pd.DataFrame(columns=["question"])
    table = differences(rows[rows["question"] == "labels"], plan.questions["labels"])
    assert shown == over(table[[at["videos"] == 15 for at in table["at"]]], "videos")


def test_legend_has_every_column_with_its_unit_and_direction() -> None:
    legend = MANY.split("## Columns of metrics")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in legend.splitlines() if "`" in line]
    told = {name: row[2:] for row in rows if len(row) == 4 for name in re.findall(r"`([\w.]+)`", row[0])}
    for column in COLUMNS:
        for task, scores in read_json(ROOT / "metrics" / f"{column}.json").items():
            headline = load_task(task).headline
            for metric in scores:
                assert told[f"{task}.{metric}"] == [unit(metric), ARROWS[headline[metric]]]


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
    return re.findall(r"^launcher: (.+)$", MANY, flags=re.MULTILINE)


def test_launchers_are_understood_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.run import parse_args

    monkeypatch.setenv("SLURM_NNODES", "2")
    assert len(launchers()) == 3
    for launcher in launchers():
        command = [*shlex.split(os.path.expandvars(launcher)), "-m", "stages.train_single", "ar"]
        found = parse_args(command[command.index("torchrun") + 1 :])
        assert (found.module, found.training_script, found.nproc_per_node) == (True, "stages.train_single", "4")
        assert found.nnodes == ("1:1" if found.standalone else "2")


def test_launchers_are_run_by_a_shell(clone: Clone, tmp_path: Path) -> None:
    """Programs of their names tell what they were given; variables and commands in a launcher are the shell's."""
    for name in ("torchrun", "srun"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$(basename "$0") $* ($EGOPACK_LAUNCHED)"\n')
        (tmp_path / name).chmod(0o755)
    before = dict(clone.environment)
    clone.environment |= {"PATH": f"{tmp_path}:{before['PATH']}", "SLURM_NNODES": "2"}
    try:
        for launcher in launchers():
            clone.edit(lambda params, launcher=launcher: params.update(launcher=launcher))
            said = clone.run("python", "-m", "stages.train_single", "ar").stdout
            shown = subprocess.run(
                ["sh", "-c", f"echo {launcher}"], capture_output=True, text=True, env=clone.environment
            )
            assert said == f"{shown.stdout.strip()} -m stages.train_single ar (1)\n"
    finally:
        clone.environment = before


def test_commands_work(clone: Clone) -> None:
    tried = 0
    for command in commands():
        if command[0] == "dvc":
            clone.run(*command)
            tried += 1
    assert tried >= 4


def test_videos_are_predicted(clone: Clone) -> None:
    write_video(clone.path / "kitchen.mp4", 300, codec="mpeg4")
    shown = commands(section("Predict"))
    assert len(shown) == 2
    for command in shown:
        clone.run(*command)
    assert set(read_json(clone.path / "out.json")) == {"kitchen"}
    assert "<figure" in (clone.path / "timeline.html").read_text(encoding="utf-8")
    for block in blocks("python"):
        clone.run("python", "-c", f"import stages\n{block}\nassert 'label' in table")


def test_published_weights_are_imported(clone: Clone) -> None:
    (shown,) = [command for command in commands() if "stages.import_checkpoint" in command]
    shutil.copy(next((PARITY_DIR / "published").glob("*.pth")), clone.path / shown[3])
    clone.run(*shown)
    assert load_checkpoint(clone.path / shown[-1]).spec.tasks


def test_challenges_are_answered(clone: Clone) -> None:
    shown = [command for command in commands() if "stages.submit" in command]
    assert len(shown) == 2
    for command, file in zip(shown, ("data/submissions/mq.json", "single.json"), strict=True):
        clone.run(*command)
        assert read_json(clone.path / file)["detect_results"]


def test_published_settings_replace_the_quickstart(clone: Clone, tmp_path: Path) -> None:
    steps = [command for command in commands() if command[:2] in (["git", "switch"], ["git", "mv"], ["git", "commit"])]
    assert len(steps) == 3
    branch = clone.git("branch", "--show-current").strip()
    try:
        for step in steps:
            clone.git(*step[1:])
        assert clone.git("status", "--porcelain") == ""
        refuses_without_ego4d(clone)
    finally:
        clone.git("switch", "--quiet", "--force", branch)


def refuses_without_ego4d(clone: Clone) -> None:
    assert "train_single" in clone.run("dvc", "stage", "list").stdout
    done = clone.run("python", "-m", "stages.fingerprint", check=False)
    assert "data/raw/ego4d" in done.stderr
