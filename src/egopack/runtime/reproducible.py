"""The same bytes on any machine: which code of the libraries below computes, chosen before they are loaded.

MKL, ATen, NumPy and OpenBLAS hold several versions of their loops, one for each generation of processors, and take the
newest that runs. Each adds in an order of its own, so the last bits of a result tell the processor. The variables here
name one version of each that every processor with AVX2 and FMA has, and one thread, since the number of threads decides
where a sum is cut. They are read when a library is loaded or first computes, so nothing here imports one.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

ANYWHERE, HERE = "anywhere", "here"  # of runtime.reproducible
CPUINFO = Path("/proc/cpuinfo")
NEEDED = ("avx2", "fma")  # the C library too has other versions of exp and cos without FMA
VARIABLES = {
    "MKL_CBWR": "COMPATIBLE",  # the one version that MKL also runs on processors of other makers
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def obstacle() -> str | None:
    """Why this machine cannot give the bytes that any other gives; None where it can."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine != "x86_64":
        return f"this is {system} on {machine}, not Linux on x86_64"
    lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    missing = [name for name in NEEDED if name not in flags]
    return f"this processor has no {' and no '.join(missing)}" if missing else None


def settle(reproducible: str) -> None:
    """Have the libraries that this process has yet to load compute as `runtime.reproducible` says; processes that it
    starts do so too. A machine that cannot is left as it is.
    """
    if reproducible == ANYWHERE and obstacle() is None:
        os.environ.update(VARIABLES)


def kept(reproducible: str) -> str:
    """Which promise holds for what this process computes: `runtime.reproducible`, or here where it cannot be kept."""
    settled = all(os.environ.get(name) == value for name, value in VARIABLES.items())
    return ANYWHERE if reproducible == ANYWHERE and settled else HERE
