"""A second opinion as its user asks for it, after the pipeline has run."""

from __future__ import annotations

import json

import pandas as pd

from tests.pipeline.conftest import Clone

TASK = "mq"


def test_a_second_opinion_and_what_averaging_gains(reproduced: Clone) -> None:
    folder = reproduced.path / "data" / "ensemble"

    def run(*options: str) -> dict[str, bytes]:
        reproduced.run("python", "-m", "stages.ensemble", TASK, *options)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    first = run()
    assert {f"{TASK}.json", f"{TASK}.parquet", f"{TASK}/config.json", f"{TASK}/ensemble.json"} <= set(first)
    whole, config = (json.loads(first[name]) for name in (f"{TASK}.json", f"{TASK}/config.json"))
    assert config["scores"][TASK] == whole
    single = json.loads((reproduced.path / "metrics" / "single" / f"{TASK}.json").read_text())
    assert whole != single

    both = run("--alone", "2")
    assert all(both[name] == data for name, data in first.items())
    assert json.loads(both[f"alone/{TASK}.json"]) not in (whole, single)
    curves = pd.read_csv(folder / "curves" / "alone" / TASK / "1.csv")
    own = pd.read_csv(reproduced.path / "metrics" / "curves" / "single" / f"{TASK}.csv")
    assert len(curves) == len(own)  # trained as long, with another seed
    assert not curves.equals(own)
    assert not reproduced.git("status", "--porcelain").strip()
