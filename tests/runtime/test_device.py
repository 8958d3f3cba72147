from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from egopack.params import RuntimeParams
from egopack.runtime.device import set_up


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_anywhere_is_one_thread_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    torch.set_num_threads(2)
    assert set_up(RuntimeParams(reproducible="anywhere")) == torch.device("cpu")
    assert torch.get_num_threads() == 1


def test_here_takes_the_threads_that_it_is_given() -> None:
    torch.set_num_threads(2)
    set_up(RuntimeParams(device="cpu"))
    assert torch.get_num_threads() == 2
    set_up(RuntimeParams(device="cpu", threads=3))
    assert torch.get_num_threads() == 3
