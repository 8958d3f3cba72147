"""Environments as they are: what is around a stage belongs to others, and neither changes it nor is changed by it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from egopack.errors import UserError
from egopack.params import load_params
from egopack.runtime.device import pick_device
from egopack.runtime.ranks import ALONE, TORCHRUN, join
from stages._common import SCRATCH, original, raw_root, start_folder
from tests.support.workplace import ROOT, Workplace

# DVC_ROOT (None: not set), where the stage runs, and where it finds what is not in a copy
COPY = ".dvc/tmp/exps/tmpx"
PLACES = {
    "plain": (None, ".", "."),
    "DVC's own": (".", ".", "."),
    "an experiment": (".", COPY, "."),
    "an experiment in a subfolder of git's": ("sub", f"sub/{COPY}/sub", "sub"),
    "an experiment in a deeper folder": (".", f"{COPY}/a/b", "."),
    "an outer project": (".", "inner", "inner"),
    "an outer project's experiment": (".", f"{COPY}/inner", f"{COPY}/inner"),
    "an experiment inside an outer project": ("inner", f"inner/{COPY}", "inner"),
    "a sibling": ("other", "inner", "inner"),
    "a name that begins alike": (".", f"{COPY[:-5]}-old/tmpx", f"{COPY[:-5]}-old/tmpx"),
    "a folder that is gone": ("gone", "inner", "inner"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("linked", [False, True], ids=["", "linked"])
def test_dvc_root_counts_only_for_a_copy(
    place: str, linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cwd, expected = PLACES[place]
    top = tmp_path / "top"
    (top / cwd).mkdir(parents=True)
    for project in {"an outer project's experiment": [".", COPY, cwd]}.get(place, [root or ".", cwd]):
        if (top / project).exists():
            (top / project / ".dvc").mkdir(exist_ok=True)
    named = top
    if linked:
        (tmp_path / "link").symlink_to(top)
        named = tmp_path / "link"
    if root is None:
        monkeypatch.delenv("DVC_ROOT", raising=False)
    else:
        monkeypatch.setenv("DVC_ROOT", str(named / root))
    monkeypatch.chdir(top / cwd)
    assert original(Path("data/scratch")).resolve() == top / expected / "data/scratch"


def test_an_outer_project_is_not_looked_into(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = workplace.folder / "inner"
    inner.mkdir()
    shutil.move(workplace.folder / "params.yaml", inner / "params.yaml")
    (workplace.folder / "start").mkdir()
    monkeypatch.chdir(inner)
    monkeypatch.setenv("DVC_ROOT", str(workplace.folder))
    with pytest.raises(UserError, match=r"data\.root: 'raw' is not a folder"):
        raw_root(load_params("params.yaml"))
    with pytest.raises(UserError, match="start_from: 'start' is not a folder"):
        start_folder("start")
    assert original(SCRATCH) == SCRATCH


@pytest.mark.parametrize(
    "setting",
    [
        {"WORLD_SIZE": "8"},
        {"WORLD_SIZE": ""},
        {"WORLD_SIZE": "many"},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29511"},
        {"WORLD_SIZE": "16", "SLURM_NTASKS": "16", "SLURM_PROCID": "3"},
    ],
    ids=lambda setting: " ".join(f"{name}={value}" for name, value in setting.items()),
)
def test_a_world_size_of_others(setting: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TORCHRUN, raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    assert join() is ALONE
    assert pick_device("cuda").index is None
    assert pick_device("cuda:0").index == 0


def test_a_world_size_of_others_is_told(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in (["shard"], ["index", "ar"]):
        assert workplace.run(*stage).exit_code == 0
    for size, lines in (("8", 1), ("1", 0)):
        monkeypatch.setenv("WORLD_SIZE", size)
        done = workplace.run("train_single", "ar")
        assert done.exit_code == 0
        assert done.output.count("torchrun did not set it: this process works alone\n") == lines


LOCALES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "koi8-r, strictly": {"PYTHONIOENCODING": "koi8-r:strict"},
    "C": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
    "POSIX": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX", "LANG": ""},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
}


@pytest.mark.parametrize("name", LOCALES)
def test_any_terminal_shows_the_comparison(name: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "metrics", tmp_path / "metrics")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHON", "LANG"))}
    environment |= LOCALES[name] | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.compare"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    known = name in ("ascii", "C", "POSIX", "utf-8")  # click speaks UTF-8 where nothing better than ASCII is named
    assert b"AR verb_top1 " + ("↑".encode() if known else b"?") in done.stdout
    assert "AR verb_top1 ↑" in (tmp_path / "data/comparison.md").read_text(encoding="utf-8")


def test_a_name_that_is_no_text_is_shown(tmp_path: Path) -> None:
    program = r"import stages; print('video \udce9.pt')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"video ?.pt\n")


def test_tests_do_not_see_the_users_settings(tmp_path: Path) -> None:
    """The home of this session has a name for git and nothing else, wherever git and DVC look for settings."""
    scopes = subprocess.run(
        ["git", "config", "--list", "--show-scope"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    found = {tuple(line.split(maxsplit=1)) for line in scopes.stdout.splitlines()}
    own = {("global", "user.name=test"), ("global", "user.email=test@example.org")}
    assert {scope for scope, _ in found - own} <= {"command"}
    for level in ("--global", "--system"):
        program = [sys.executable, "-m", "dvc", "config", level, "--list"]
        assert subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout == ""
    assert not [name for name in os.environ if name.startswith("GIT_") and name != "GIT_CONFIG_NOSYSTEM"]


def test_text_is_the_same_in_every_clone(tmp_path: Path) -> None:
    """Where git is told to write Windows' line ends, digests of code and metrics are still those of dvc.lock."""
    options = ["-c", "core.autocrlf=true", "-c", "core.eol=crlf"]
    subprocess.run(["git", *options, "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    listed = ["git", *options, "ls-files", "--eol"]
    found = subprocess.run(listed, cwd=tmp_path / "clone", capture_output=True, text=True, check=True).stdout
    ends = {line.split("\t")[1]: line.split()[:2] for line in found.splitlines()}
    assert {"dvc.yaml", "dvc.lock", "params.yaml", "stages/index.py"} <= ends.keys()
    assert {name for name, (stored, written) in ends.items() if stored[2:] != written[2:] or "crlf" in written} == set()


PIP_SETTINGS = {"PIP_USER": "1", "PIP_TARGET": "/elsewhere", "PIP_PREFIX": "/elsewhere", "PIP_ROOT": "/elsewhere"}
PYTHON_SETTINGS = {"PYTHONPATH": "/elsewhere", "PYTHONSAFEPATH": "1", "PYTHONHOME": "/elsewhere"}
RECIPE = """
include Makefile
shown:
\t@python3 -I -c 'import json, os; print(json.dumps(dict(os.environ)))'
"""


def test_make_sets_up_where_it_says(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "shown.mk").write_text(RECIPE)
    environment = os.environ | PIP_SETTINGS | PYTHON_SETTINGS
    done = subprocess.run(
        ["make", "--silent", "-f", "shown.mk", "shown"], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    seen = json.loads(done.stdout)
    assert not [name for name, value in seen.items() if "/elsewhere" in value]
    assert seen["PIP_USER"] == "0"
    assert "PYTHONSAFEPATH" not in seen
