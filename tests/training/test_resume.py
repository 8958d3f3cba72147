"""A training that was killed goes on and ends in the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from egopack import checksums
from egopack.errors import UserError
from egopack.training import loop
from egopack.training.loop import train
from egopack.training.state import STATE, Scratch, digest_files, digest_tensors, prune, run_digest
from tests.support.train_tiny import alternating, loaders_of, network_of, params_of

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
ALL_EXTRAS = {"ema_decay": 0.9, "accumulate": 2, "evaluate_every": 1, "freeze": ["necks"]}


class StopError(Exception):
    """Stands for a kill, in the same process."""


def trained(scratch: Path | None, *, stop: int | None = None, every: int = 1, **extras: Any) -> dict[str, Any]:
    """Train, perhaps only until step `stop`; the weights, the reports and where it went on from."""
    torch.manual_seed(5)
    network = network_of()
    resumed: list[int] = []

    def on_step(done: int, total: int) -> None:
        if done == stop:
            raise StopError

    reports = train(
        network,
        loaders_of(),
        params_of(**extras),
        device=CPU,
        on_step=on_step,
        on_resume=resumed.append,
        evaluate=alternating(),
        scratch=None if scratch is None else Scratch(scratch, every),
    )
    return {"weights": digest_tensors(network.state_dict()), "reports": reports, "resumed": resumed}


@pytest.mark.parametrize("extras", [{}, ALL_EXTRAS], ids=["plain", "extras"])
def test_stopped_after_some_step(extras: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scratch, "due", lambda self, step: step % self.every == 0)  # however long saving takes
    whole = trained(None, **extras)
    steps = len(whole["reports"]) * (2 if extras else 4)
    for stop, every in ((1, 3), (steps // 2, 1), (steps - 1, 3)):
        folder = tmp_path / f"{stop}-{every}"
        with pytest.raises(StopError):
            trained(folder, stop=stop, every=every, **extras)
        again = trained(folder, every=every, **extras)
        assert again["resumed"] == ([stop // every * every] if stop >= every else [])
        assert again["weights"] == whole["weights"]
        assert again["reports"] == whole["reports"]


def run(out: Path, scratch: Path, *, delay_s: float = 0.0, **settings: Any) -> subprocess.Popen[str]:
    settings = {"every": 2, "delay_s": delay_s, "extras": {}} | settings
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.support.train_tiny", str(out), str(scratch), json.dumps(settings)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_killed_at_random_moments(tmp_path: Path, chance: np.random.Generator) -> None:
    extras = {"ema_decay": 0.9, "evaluate_every": 1}
    whole = run(tmp_path / "whole", tmp_path / "unused", every=0, extras=extras)
    assert whole.wait() == 0
    kills, said = 0, ""
    for _ in range(2):
        one = run(tmp_path / "out", tmp_path / "scratch", delay_s=0.05, extras=extras)
        until = time.monotonic() + 60
        before = stamp(tmp_path / "scratch" / STATE)
        while one.poll() is None and stamp(tmp_path / "scratch" / STATE) == before and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(float(chance.uniform(0, 0.2)))
        one.send_signal(signal.SIGKILL)
        kills += one.wait() == -signal.SIGKILL
        said += one.communicate()[0]
    last = run(tmp_path / "out", tmp_path / "scratch", extras=extras)
    said += last.communicate()[0]
    assert last.returncode == 0
    assert kills >= 1
    assert said.count("resumed") >= kills - 1
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")
    assert not (tmp_path / "scratch").exists()


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def test_state_is_no_pickle_and_damage_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        trained(tmp_path / "run", stop=5)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [STATE]
    state = tmp_path / "run" / STATE
    whole = trained(None)
    for content in (b"", state.read_bytes()[:-7], b"\x80\x04" + state.read_bytes()):
        state.write_bytes(content)
        assert trained(tmp_path / "run", stop=None) == whole


def test_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("egopack.training.state.save_file", full)
    with pytest.raises(UserError, match=r"No space left on device.*save_every"):
        trained(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_the_same_run_twice_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two experiments may train the same thing; the one that ends first clears what the other is writing."""
    one, other = Scratch(tmp_path / "run", 1), Scratch(tmp_path / "run", 1)
    for moment in ("before", "after"):

        def save(tensors: Any, path: Any, metadata: Any, moment: str = moment) -> None:
            if moment == "before":
                other.clear()
            save_file(tensors, path, metadata)
            other.clear()

        monkeypatch.setattr("egopack.training.state.save_file", save)
        one.save({"a": torch.ones(2)}, {})
        assert one.load() is None
    monkeypatch.undo()
    one.save({"a": torch.ones(2)}, {"step": 1})
    saved = other.load()
    assert saved is not None
    assert saved[0]["a"].tolist() == [1, 1]
    assert saved[1]["step"] == 1


def test_saving_takes_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("egopack.training.state.time.monotonic", lambda: now[0])
    scratch = Scratch(tmp_path / "run", 2)
    assert [step for step in range(1, 7) if scratch.due(step)] == [2, 4, 6]
    real = loop.Scratch.save

    def slow(path: Any, *arguments: Any, **keywords: Any) -> None:
        now[0] += 3.0

    monkeypatch.setattr("egopack.training.state.save_file", slow)
    real(scratch, {}, {})
    assert not scratch.due(8)
    now[0] += 3.0 * 19
    assert not scratch.due(8)
    now[0] += 3.0 * 2
    assert scratch.due(8)
    assert not scratch.due(9)


def test_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"params": {"lr": 1.0}, "data": "abc"}
    assert run_digest(base) == run_digest({"data": "abc", "params": {"lr": 1.0}})
    assert run_digest(base) != run_digest(base | {"params": {"lr": 1.5}})
    one = {"a": torch.zeros(2), "b": torch.ones(1)}
    assert digest_tensors(one) == digest_tensors(dict(reversed(one.items())))
    assert len({digest_tensors(t) for t in (one, one | {"a": torch.zeros(1, 2)}, one | {"b": torch.zeros(1)})}) == 3
    files = [tmp_path / "x.h5", tmp_path / "y.h5"]
    for path in files:
        path.write_bytes(path.name.encode())
    monkeypatch.setattr(checksums, "SETTLED_NS", 0)
    known = tmp_path / "known" / "files.json"
    first = digest_files(files, known)
    assert first == digest_files(reversed(files)) == digest_files(files, known)
    assert digest_files(files[:1], known) != first
    times = files[0].stat()
    files[0].write_bytes(b"z.h5")
    os.utime(files[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest_files(files, known) == digest_files(files) != first
    known.write_text("damaged")
    assert digest_files(files, known) == digest_files(files)
    files[0].unlink()
    files[1].write_bytes(b"changed")
    digest_files(files[1:], known)
    assert list(json.loads(known.read_text())) == [str(files[1].resolve())]


def test_old_states_are_pruned(tmp_path: Path) -> None:
    old, new = "a" * 32, "b" * 32
    for name, days in ((old, 20), (new, 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / STATE).write_bytes(b"x")
        age(tmp_path / name, days)
    (tmp_path / "note.json").touch()
    os.utime(tmp_path / "note.json", (0, 0))
    assert prune(tmp_path, 14) == [tmp_path / old]
    assert sorted(path.name for path in tmp_path.iterdir()) == [new, "note.json"]
    assert prune(tmp_path / "missing") == []


def age(folder: Path, days: float) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - 86400 * days,) * 2, follow_symlinks=False)


@pytest.mark.parametrize(
    "what", [f"mine/{STATE}", f"{'a' * 32}/notes.txt", f"{'b' * 32}/deeper/{STATE}", "c" * 32, f"{'D' * 32}/{STATE}"]
)
def test_what_no_training_wrote_stays(what: str, tmp_path: Path) -> None:
    """However old: folders of a user's, and what stands among states."""
    root, elsewhere = tmp_path / "scratch", tmp_path / "elsewhere"
    (root / what).parent.mkdir(parents=True)
    (root / what).write_text("precious")
    if "notes" in what:
        (root / what).with_name(STATE).write_bytes(b"x")
    elsewhere.mkdir()
    (elsewhere / STATE).write_bytes(b"x")
    (root / ("e" * 32)).symlink_to(elsewhere)
    age(tmp_path, 400)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert prune(root, 14) == []
    assert {path: path.read_bytes() for path in before} == before


def test_a_state_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = Scratch(tmp_path / "run", 1)
    scratch.save({"a": torch.ones(2)}, {"step": 1})

    def stale(path: Path) -> bytes:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "read_bytes", stale)
    with pytest.raises(UserError, match=r"state\.safetensors: cannot be read \(Stale file handle\)"):
        scratch.load()
