from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from egopack.model.checkpoint import WEIGHTS, save_checkpoint
from egopack.runtime import reproducible
from tests.support import small
from tests.support.workplace import Workplace

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = [  # as other processors and other users have it
    {
        **{"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "2"},
        **{"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"},
    },
    {
        **{"MKL_ENABLE_INSTRUCTIONS": "AVX2", "MKL_CBWR": "AVX2", "ATEN_CPU_CAPABILITY": "avx512"},
        **{"MKL_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Prescott"},
    },
]
able = pytest.mark.skipif(reproducible.obstacle() is not None, reason=str(reproducible.obstacle()))


def plain_environment() -> dict[str, str]:
    """As in a shell that knows nothing of the variables."""
    kept = {name: value for name, value in os.environ.items() if name not in reproducible.VARIABLES}
    return kept | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}


def python(*arguments: str, folder: Path = ROOT, **variables: str) -> str:
    command = [sys.executable, *arguments]
    environment = plain_environment() | variables
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


@able
def test_the_same_bytes_whatever_the_processor_and_the_environment() -> None:
    def trained(**variables: str) -> dict[str, object]:
        return json.loads(python("-m", "tests.support.train_reproducibly", "anywhere", **variables))

    first = trained()
    assert (first["kept"], first["threads"], first["loops"]) == ("anywhere", 1, "AVX2")
    for variables in ELSEWHERE:
        assert trained(**variables) == first


def test_here_leaves_everything_as_it_is() -> None:
    program = "import os; from egopack.runtime.reproducible import *; before = dict(os.environ); settle('here'); "
    assert python("-c", program + "print(dict(os.environ) == before, kept('here'))") == "True here\n"


EARLY = """
import importlib, os, pkgutil, sys
import egopack.params, stages
from egopack.runtime.reproducible import VARIABLES

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "torch"):
            settled = all(os.environ.get(name) == value for name, value in VARIABLES.items())
            end("settles" if settled else f"imports {name} first")

def end(how):
    print(stage, how, flush=True)
    os._exit(0)

sys.meta_path.insert(0, Guard())
for stage in [one.name for one in pkgutil.iter_modules(stages.__path__)]:
    if not os.fork():
        module = importlib.import_module(f"stages.{stage}")
        if hasattr(module, "READS"):
            try:
                arguments = {"tasks": ["ar"], "helped_by": ["ar"], "packs": ["all"], "": []}
                module.main(arguments[module.READS.each], standalone_mode=False)
            except Exception as error:
                end(f"computes nothing: {error}")
        os._exit(0)
    os.wait()
"""


@able
def test_stages_settle_before_they_load_what_computes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    how = dict(line.split(" ", 1) for line in python("-c", EARLY, folder=tmp_path).splitlines())
    assert {name for name, does in how.items() if does == "settles"} >= {
        *("synthesize", "shard", "index", "train_single", "train_multi", "train_egopack", "build_prototypes"),
        *("evaluate_single", "evaluate_multi", "evaluate_egopack"),
    }
    assert not [name for name, does in how.items() if does.startswith("imports")]


@pytest.fixture
def no_avx2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nflags\t\t: fpu sse4_2 avx fma\n\nprocessor\t: 1\nflags\t\t: avx2\n"
    )
    monkeypatch.setattr(reproducible, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in reproducible.VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_avx2")
def test_what_cannot_be_kept_is_not_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    reproducible.settle("anywhere")
    assert dict(os.environ) == before
    assert reproducible.kept("anywhere") == "here"
    assert reproducible.obstacle() == "this processor has no avx2"
    reproducible.CPUINFO.write_text("flags : sse4_2\n")
    assert reproducible.obstacle() == "this processor has no avx2 and no fma"
    reproducible.CPUINFO.write_text("flags : fma avx avx2\n")
    assert reproducible.obstacle() is None
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert reproducible.obstacle() == "this is Linux on aarch64, not Linux on x86_64"


def test_settled_here_is_no_promise_of_params_that_say_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in reproducible.VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert (reproducible.kept("anywhere"), reproducible.kept("here")) == ("anywhere", "here")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert reproducible.kept("anywhere") == "here"


@pytest.mark.parametrize("told", ["anywhere", "here"])
def test_weights_tell_what_they_were_made_with(told: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, small.network_of("ar"), told)
    with safe_open(tmp_path / WEIGHTS, "pt") as file:
        assert file.metadata() == {"reproducible": told}


@pytest.mark.usefixtures("no_avx2")
def test_a_run_tells_once_of_what_is_not_kept(workplace: Workplace) -> None:
    told = (
        "params.yaml: runtime.reproducible: anywhere: this processor has no avx2; results will differ a little from "
        "other machines'\n"
    )
    assert workplace.run("fingerprint").stderr == told
    for stage in ("shard", "index"):
        assert workplace.run(stage, *["ar"] * (stage == "index")).stderr == ""
    workplace.edit_params(lambda params: params["runtime"].update(reproducible="here"))
    assert workplace.run("fingerprint").stderr == ""
