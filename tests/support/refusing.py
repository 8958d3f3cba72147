"""Stages on a system that refuses, as refuse.cpp says, each forked from a process that has imported everything:
python -m tests.support.refusing < JSON of cases > JSON of [[status, output], ...]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Case = tuple[str, str, Sequence[str], str]  # a folder, a stage, its arguments, what is refused


def build(folder: Path) -> Path:
    """Compile refuse.cpp into `folder`."""
    library = folder / "refuse.so"
    source = Path(__file__).with_name("refuse.cpp")
    subprocess.run(["g++", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def run(library: Path, cases: Sequence[Case]) -> list[tuple[int, str]]:
    """Run stages one after the other; exit status and all that was said of each."""
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.refusing"],
        cwd=ROOT,
        env=environment,
        input=json.dumps(cases),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [(status, said) for status, said in json.loads(done.stdout)]


def run_one(folder: str, stage: str, arguments: Sequence[str], refusal: str) -> tuple[int, str]:
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            be(stage, arguments, refusal, output.fileno())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return status, output.read().decode()


def be(stage: str, arguments: Sequence[str], refusal: str, output: int) -> None:
    """Be the stage, in this process, which it ends."""
    import importlib

    main = importlib.import_module(f"stages.{stage}").main
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["REFUSE"] = refusal  # from here on
    status: object = 99
    try:
        main(list(arguments))
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 98)


if __name__ == "__main__":
    import pandas  # noqa: F401
    import torch

    import stages.check
    import stages.compare
    import stages.evaluate_single
    import stages.index
    import stages.shard
    import stages.train_single  # noqa: F401

    torch.set_num_threads(1)
    json.dump([run_one(*case) for case in json.load(sys.stdin)], sys.stdout)
