"""What a rank says when it cannot go on; test_ranks.py kills one."""

from __future__ import annotations

import pytest
from torch.distributed import HashStore

from egopack.errors import UserError
from egopack.params import RuntimeParams
from egopack.runtime import last_words
from egopack.runtime.device import set_up
from egopack.runtime.last_words import LastWords
from egopack.runtime.ranks import KEPT_STEP, TORCHRUN, Ranks


@pytest.mark.parametrize(
    ("running", "step", "message"),
    [
        ([0, 2], "7", "rank 1 of 3 died or was cut off; the state after step 7 is kept: run the stage again to resume"),
        ([1], None, "ranks 0, 2 of 3 died or were cut off; run the stage again"),
        ([0, 1, 2], "50", "the run was stopped; the state after step 50 is kept: run the stage again to resume"),
    ],
)
def test_which_ranks_are_gone(
    running: list[int], step: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_words, "GRACE_S", 0.0)
    ranks = Ranks(1, 3, HashStore())
    for rank in running:
        ranks.note(f"rank {rank}", "still runs")
    if step is not None:
        ranks.note(KEPT_STEP, step)
    assert LastWords(ranks).gone() == message


def test_one_rank_alone_says_why() -> None:
    store = HashStore()
    assert [Ranks(rank, 3, store).is_first_to_end() for rank in (2, 0, 1)] == [True, False, False]


def test_one_gpu_for_several_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TORCHRUN, "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match=r"^params\.yaml: runtime\.device: 'cuda:0' is one GPU, but the launcher"):
        set_up(RuntimeParams(device="cuda:0"), 0)
    with pytest.raises(UserError, match="'cuda:1' is not there"):  # a GPU for each rank of the machine
        set_up(RuntimeParams(device="cuda"), 0)
