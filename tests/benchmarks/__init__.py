"""Benchmarks: every ratio is measured in one run against a floor or an oracle that the benchmark itself executes.

`python -m tests.benchmarks [CASE ...]` prints one JSON object a line; see `tests.benchmarks.measure` for its keys.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
