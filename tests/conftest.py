"""Options and settings that all tests share."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from egopack.runtime.reproducible import ANYWHERE, settle

settle(ANYWHERE)  # before torch is imported, as every stage does with params.yaml; what tests start inherits it

import numpy as np  # noqa: E402
import torch  # noqa: E402

import egopack.tasks  # noqa: E402
from egopack.nn.sums import portable  # noqa: E402
from egopack.tasks import base  # noqa: E402
from tests.support.workplace import Workplace, write_small_corpus  # noqa: E402

PARITY_DIR = Path(__file__).parent / "parity"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-dir", default=str(PARITY_DIR), help="folder with modules/, pipeline/ and published/ fixtures"
    )
    parser.addoption(
        "--epic-dir", help="folder with EPIC-KITCHENS-100's annotations and fixtures/; one is written else"
    )
    parser.addoption("--parity-device", default="cpu", help="device that the parity fixtures are computed on")


def pytest_configure(config: pytest.Config) -> None:
    # one thread here and in all that tests start: the bytes of a training depend on how many there are
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    # a shell starts what it puts in the background with Ctrl-C ignored, and so would all that tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    forget_the_user(config)
    config.addinivalue_line("markers", "fixtures(*patterns): run once for each parity fixture of these names")
    config.addinivalue_line(
        "markers", "paths(*patterns): run once for each parity file of these names, given as a path"
    )


def forget_the_user(config: pytest.Config) -> None:
    """What a user has set for git and DVC, at home or in the environment, and for ranks, is no matter of the tests."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "DVC_", "TORCHELASTIC_")) or name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
            del os.environ[name]
    home = tempfile.mkdtemp(prefix="home-of-tests-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ |= {"HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "DVC_SYSTEM_CONFIG_DIR": home, "DVC_NO_ANALYTICS": "1"}
    identity = "[user]\nname = test\nemail = test@example.org\n"  # without one DVC makes no experiment
    Path(home, ".gitconfig").write_text(identity, encoding="utf-8")
    for name in ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_CACHE_HOME"):
        os.environ[name] = home


@pytest.fixture(params=["compiled", "portable"])
def code_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which code computes on a CPU: the compiled one, or that of any other device."""
    with portable() if request.param == "portable" else nullcontext():
        yield request.param


@pytest.fixture
def chance() -> np.random.Generator:
    """What a test draws at random; a failure tells the seed that repeats it."""
    seed = int(os.environ.get("TEST_SEED") or secrets.randbelow(2**31))
    print(f"drawn from TEST_SEED={seed}")
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built-in corpus of a few short videos; tests change copies of it."""
    return write_small_corpus(tmp_path_factory.mktemp("corpus") / "raw")


@pytest.fixture
def workplace(tmp_path: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A folder to run stages in, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EGO4D_ROOT", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return Workplace(tmp_path, small_corpus)


@pytest.fixture
def folder_of_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the tasks that there are, in place of the package's own; new files may be added."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    for path in Path(base.__file__).parent.glob("*.py"):
        (folder / path.name).symlink_to(path)
    monkeypatch.setattr(base, "__file__", str(folder / "base.py"))
    monkeypatch.setattr(egopack.tasks, "__path__", [*egopack.tasks.__path__, str(folder)])
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("egopack.tasks."):
            del sys.modules[name]
            if hasattr(egopack.tasks, name.rpartition(".")[2]):
                delattr(egopack.tasks, name.rpartition(".")[2])
