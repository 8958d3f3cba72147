"""Freed memory stays with the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import resource, sys
from egopack.runtime.allocator import keep_freed_memory
import numpy as np
if {keep}:
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    np.ones(1 << 24)
    last = faults() - before
print(last)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="settings of glibc")
def test_a_second_block_of_the_same_size_faults_no_page() -> None:
    source = str(Path(__file__).parents[2] / "src")
    found = []
    for keep in (False, True):
        command = [sys.executable, "-c", CODE.format(keep=keep)]
        run = subprocess.run(command, env={"PYTHONPATH": source}, capture_output=True, text=True, check=True)
        found.append(int(run.stdout))
    assert found[1] < 0.1 * found[0]
