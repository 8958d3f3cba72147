"""Commands of stages run by a process that has everything imported: a shell sees what it sees of Python."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from stages._jobs.server import Server

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0
LONG = "python -m stages.synthesize & echo $! > process; wait $!"


class Place:
    """A folder with params of a corpus that takes minutes, and a server that was started there."""

    def __init__(self, folder: Path) -> None:
        self.folder, before = folder, os.getcwd()
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["synthetic"]["train_videos"] = 10_000
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        os.chdir(folder)
        self.server = Server(1, folder / "forks.log")
        try:
            self.server.start()
        finally:
            os.chdir(before)
        self.until(lambda: (self.server.folder / "forks").exists())

    def until(self, true: object) -> None:
        limit = time.monotonic() + PATIENCE_S
        while not true():  # type: ignore[operator]
            assert time.monotonic() < limit, (self.folder / "forks.log").read_text()
            time.sleep(0.02)

    def begin(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=os.environ | self.server.environment | {"DVC_STAGE": "some"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        process = self.begin(command)
        said, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said

    def stages(self) -> list[psutil.Process]:
        """What was forked and runs."""
        assert self.server.process is not None
        children = psutil.Process(self.server.process.pid).children() if self.server.process.poll() is None else []
        return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]

    def begin_long(self) -> tuple[subprocess.Popen[str], psutil.Process]:
        """A stage that has begun its work, and its own process."""
        process = self.begin(LONG)
        self.until(self.stages)
        time.sleep(0.5)
        (stage,) = self.stages()
        return process, stage


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    for name in ("EGO4D_ROOT", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    place = Place(tmp_path)
    yield place
    place.server.close()
    assert not place.server.folder.exists()


def test_as_python_would(place: Place) -> None:
    """Status, output, folder, environment; what is no stage, and what the process refuses, Python runs itself."""
    refused = "Error: params.yaml: packs: there is no 'no one', only all"
    status, said = place.run("python -m stages.fill_pack 'no one'")
    assert (status, said.startswith(refused)) == (1, True)
    place.server.hear()
    assert place.server.peaks["some"] > 100 << 20
    assert place.run("python -m stages.fill_pack --help")[1].startswith("Usage: ")
    assert place.run("python -c 'import os, sys; print(*sys.argv[1:], os.getcwd()); sys.exit(7)' 'a b' ''") == (
        7,
        f"a b  {place.folder}\n",
    )
    other = place.folder / "other"
    other.mkdir()
    assert place.run("cd other && python -m stages.fill_pack x")[1].startswith("Error: params.yaml: cannot be read")
    place.server.hear()
    place.server.peaks.clear()
    for reproducible, forked in (("anywhere", True), ("here", False)):  # which wants libraries loaded in another way
        params = yaml.safe_load((place.folder / "params.yaml").read_text())
        params["runtime"]["reproducible"] = reproducible
        (other / "params.yaml").write_text(yaml.safe_dump(params | {"seed": 7}))
        assert place.run("cd other && python -m stages.fill_pack 'no one'")[1].startswith(refused)
        place.server.hear()
        assert bool(place.server.peaks) == forked
        place.server.peaks.clear()
    shutil.rmtree(place.server.folder / "forks", ignore_errors=True)
    (place.server.folder / "forks").unlink()
    assert place.run("python -m stages.fill_pack 'no one'")[1].startswith(refused)


def test_told_to_stop(place: Place) -> None:
    process, _ = place.begin_long()
    place.server.send(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said.endswith("Aborted!\n")) == (1, True)
    assert place.stages() == []
    assert place.run("python -m stages.fill_pack x") == (130, "")  # none is started any more


def test_killed_by_a_signal(place: Place) -> None:
    process, stage = place.begin_long()
    stage.kill()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGKILL


def test_nobody_waits_for_it(place: Place) -> None:
    process, stage = place.begin_long()
    os.kill(int((place.folder / "process").read_text()), signal.SIGKILL)
    assert stage.wait(PATIENCE_S) is not None or not stage.is_running()
    process.communicate(timeout=PATIENCE_S)


def test_the_owner_is_gone(place: Place) -> None:
    process, stage = place.begin_long()
    place.server.close()
    assert not stage.is_running()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGKILL
