"""Every benchmark runs at tiny size and prints one line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from tests.benchmarks.__main__ import MODULE_OF, ROOT, main
from tests.benchmarks.floor import Product, floor_of, products_of

KEYS = {"case", "seconds", "spread", "against", "against_seconds", "ratio", "goal", "peak_mb", "process_mb", "rounds"}


@pytest.mark.parametrize("case", MODULE_OF)
def test_case_at_tiny_size(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_num_threads()
    assert main(["--quick", "--here", "--threads", str(before), case]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found.keys() >= KEYS
    assert found["case"] == case
    assert found["seconds"] >= 0
    assert found["ratio"] > 0


def test_a_prefix_chooses_cases_and_a_whole_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "conv", "nms"]) == 0
    assert capsys.readouterr().out.split() == ["conv_regular", "conv_irregular", "nms"]


def test_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["stepp"])
    assert "no case 'stepp'" in capsys.readouterr().err


def test_as_a_command_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "segment_pool"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(out)["case"] == "segment_pool"


def test_floor_lists_the_products_and_who_receives_a_gradient() -> None:
    first, second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2, bias=False)
    products = products_of(lambda: second(torch.relu(first(torch.ones(5, 3)))))
    assert products == [Product(5, 3, 4, False, True), Product(5, 4, 2, True, True)]
    assert [one.operations for one in products] == [2 * 5 * 3 * 4 * 2, 2 * 5 * 4 * 2 * 3]
    floor_of(products)()
