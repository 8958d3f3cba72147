"""What a stage says in the end, and what is noted of its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from egopack.params import SyntheticParams

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("options", [[], ["--quiet"]])
def test_ends_with_one_line_and_notes_its_time(options: list[str], tmp_path: Path) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["synthetic"] = SyntheticParams(train_videos=3, val_videos=3, test_videos=1, mean_minutes=1).model_dump()
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    command = [sys.executable, "-m", "stages.synthesize", *options]
    paths = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("data/raw/synthetic: train ")
    seconds, memory = line.rsplit("; ", 1)[1].removesuffix(" GB").split(" s, ")
    cost = json.loads((tmp_path / "data/costs/synthesize.json").read_text())
    assert cost["seconds"] == pytest.approx(float(seconds), abs=0.06)
    assert cost["memory_gb"] == pytest.approx(float(memory), abs=0.06)
