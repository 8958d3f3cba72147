"""Run benchmarks: one JSON object a line. Each case has a process of its own, so that its memory is its own."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "steps": (
        *("step_ar", "step_oscc", "step_lta", "step_pnr", "step_mq", "step_multi"),
        *("step_egopack_ar", "step_egopack_mq"),
    ),
    "convolution": (
        *("conv_regular", "conv_irregular"),
        *("scaling_nodes_100", "scaling_nodes_1000", "scaling_nodes_100000", "scaling_videos_1", "scaling_videos_256"),
    ),
    "detection": ("nms", "nms_200k", "nms_400k", "nms_clips", "detection_map"),
    "evaluation": ("edit_distance", "prototypes", "segment_pool"),
    "sharding": ("sharding_egovlp", "sharding_omnivore"),
    "epoch": ("epoch_rows",),
    "loading": ("loader_ar", "loader_oscc", "loader_lta", "loader_pnr", "loader_mq"),
    "waiting": ("help", "imports"),
    "accelerator": (
        *("launches_ar", "launches_mq", "launches_egopack_mq", "saved_ar", "saved_mq", "saved_egopack_mq"),
        *("transfers_ar", "transfers_mq", "transfers_egopack_mq"),
    ),
}
MODULE_OF = {case: module for module, cases in MODULES.items() for case in cases}


def run_here(case: str, *, quick: bool = False, threads: int = 2, seconds: float = 20.0) -> None:
    """Measure a case in this process and print its line."""
    import torch

    from egopack.params import RuntimeParams
    from egopack.runtime.device import set_up
    from tests.benchmarks.measure import measure

    if not quick:
        set_up(RuntimeParams(device="cpu", threads=threads), 0)  # as every stage does
    torch.manual_seed(0)
    module = importlib.import_module(f"tests.benchmarks.{MODULE_OF[case]}")
    line = measure(case, lambda: module.make(case, quick), seconds=seconds, most=1 if quick else 15)
    print(json.dumps(line), flush=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="a case or the beginning of some (all where none)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: only to see that they run")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of torch (default: 2)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of measurement a case (default: 20)")
    parser.add_argument("--here", action="store_true", help="in this process: quicker to start, memory is not its own")
    options = parser.parse_args(arguments)
    for part in options.cases:
        if not any(case.startswith(part) for case in MODULE_OF):
            parser.error(f"no case {part!r}; there are {', '.join(MODULE_OF)}")
    # a whole name means that case alone
    options.chosen = [
        case
        for case in MODULE_OF
        if not options.cases
        or any(case == part or (part not in MODULE_OF and case.startswith(part)) for part in options.cases)
    ]
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if options.list:
        print("\n".join(options.chosen))
        return 0
    settings = [f"--threads={options.threads}", f"--seconds={options.seconds}", *["--quick"] * options.quick]
    failed = []
    for case in options.chosen:
        if options.here:
            run_here(case, quick=options.quick, threads=options.threads, seconds=options.seconds)
            continue
        command = [sys.executable, "-m", "tests.benchmarks", "--here", *settings, case]
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            failed.append(case)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
