"""A stage ends with the DVC that started it, its state saved; what was started by hand outlives its parent."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from egopack.training.state import STATE
from stages import _dvc
from tests.support.workplace import ROOT, Workplace

# starts the command of its arguments as DVC does, and waits for it
STARTER = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).communicate()"
STAGE = "python -m stages.train_single ar"
BY_DVC = {
    "bash, as DVC calls it": ["bash", "--noprofile", "--norc", "-c", STAGE],
    "dash": ["sh", "-c", STAGE],
    "a shell that waits": ["bash", "-c", f"{STAGE}; true"],
    "shells in shells": ["sh", "-c", f"sh -c '{STAGE}; true'; true"],
    "no shell": STAGE.split(),
}
BY_HAND = {
    "a shell": ["sh", "-c", f"{STAGE}; true"],
    "nohup": ["sh", "-c", f"nohup {STAGE}; true"],
    "another program": ["python", "-c", f"import os; os.system({STAGE!r})"],
}
PATIENCE_S = 60


@pytest.fixture(scope="module")
def floor(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a training of many steps can run, with programs that start it: `dvc`, and one by another name."""
    folder = tmp_path_factory.mktemp("dvc") / "floor"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        place = Workplace(folder, small_corpus)
        place.edit_params(lambda params: params["tasks"]["ar"]["train"].update(epochs=100_000))
        place.edit_params(lambda params: params["runtime"].update(save_every=100_000))
        for stage in (["shard"], ["index", "ar"]):
            assert place.run(*stage).exit_code == 0
        for name in ("dvc", "runner"):
            (folder / name).write_text(STARTER)
        yield folder


class Started:
    """A stage below a program that starts it, which has begun to train."""

    def __init__(self, floor: Path, starter: list[str], command: list[str]) -> None:
        shutil.rmtree(floor / "data/scratch", ignore_errors=True)
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment |= {"PYTHONPATH": f"{ROOT}", "OMP_NUM_THREADS": "1"}
        self.floor, self.output = floor, floor / "output"
        with self.output.open("wb") as file:
            self.parent = subprocess.Popen(
                [*starter, *command], cwd=floor, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        until = time.monotonic() + PATIENCE_S
        while "epoch 3/" not in self.said():
            assert self.parent.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)
        below = psutil.Process(self.parent.pid).children(recursive=True)
        self.stages = [one for one in below if "stages.train_single" in one.cmdline() and "-c" not in one.cmdline()]
        assert self.stages

    def said(self) -> str:
        return self.output.read_text()

    def kill_parent(self, number: signal.Signals) -> None:
        self.parent.send_signal(number)
        self.parent.wait()

    def end(self) -> None:
        for process in self.stages:
            if process.is_running():
                process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("way", "number"), [*((way, signal.SIGKILL) for way in BY_DVC), ("dash", signal.SIGTERM)])
def test_it_saves_and_ends(way: str, number: signal.Signals, floor: Path) -> None:
    started = Started(floor, [sys.executable, "dvc"], BY_DVC[way])
    started.kill_parent(number)
    _, alive = psutil.wait_procs(started.stages, timeout=10)
    started.end()
    assert not alive
    assert re.search(r"single/ar: stopped after step \d+; what was trained is kept", started.said())
    assert len(list(floor.glob(f"data/scratch/*/{STATE}"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("way", BY_HAND)
def test_what_was_started_by_hand_goes_on(way: str, floor: Path) -> None:
    started = Started(floor, [sys.executable, "runner"], BY_HAND[way])
    before = started.said().count("epoch")
    started.kill_parent(signal.SIGKILL)
    time.sleep(1.5)
    alive = [one for one in started.stages if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    more = started.said().count("epoch")
    started.end()
    assert alive
    assert more > before
    assert "stopped" not in started.said()


@pytest.mark.slow
def test_ranks_end_too(floor: Path) -> None:
    params = (floor / "params.yaml").read_text()
    launcher = f"launcher: {sys.executable} -m torch.distributed.run --standalone --nproc-per-node=2\n"
    (floor / "params.yaml").write_text(re.sub("^launcher: .*\n", launcher, params, flags=re.MULTILINE))
    try:
        started = Started(floor, [sys.executable, "dvc"], BY_DVC["a shell that waits"])
        assert len({one.environ().get("RANK") for one in started.stages} - {None}) == 2
        started.kill_parent(signal.SIGKILL)
        _, alive = psutil.wait_procs(started.stages, timeout=40)
        started.end()
        assert not alive
    finally:
        (floor / "params.yaml").write_text(params)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("/usr/bin/python3 /opt/venv/bin/dvc repro", "dvc"),
        ("/usr/bin/python -I /opt/venv/bin/dvc exp run", "dvc"),
        ("python3.11 -m dvc exp exec-run --infofile x", "dvc"),
        ("dvc repro", "dvc"),
        ("/usr/bin/bash --noprofile --norc -c python -m stages.train_single ar", "between"),
        ("zsh --no-rcs -c x", "between"),
        ("fish --no-config -c x", "between"),
        ("python /opt/venv/bin/torchrun --standalone", "between"),
        ("/usr/bin/python3 -u -m torch.distributed.run --nproc-per-node=4", "between"),
        ("-bash", "other"),
        ("bash /home/me/train.sh", "other"),
        ("vim dvc", "other"),
        ("python notebook.py", "other"),
        ("sshd: me", "other"),
        ("", "other"),
    ],
)
def test_what_a_command_line_is(command: str, kind: str) -> None:
    words = command.split(" ")
    assert (_dvc._is_dvc(words), _dvc._passes_on(words)) == (kind == "dvc", kind == "between")
    assert (_dvc._is_dvc([]), _dvc._passes_on([])) == (False, False)
