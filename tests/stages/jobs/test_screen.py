from __future__ import annotations

import pytest

from stages._jobs.screen import fitted

BAR = "single/ar:  85%|████████  | 510/600 [00:05<00:01, 98.76step/s, loss 1.2345, 0.4 GB]"
SHOWN = {
    80: " 85%|████████  | 510/600 [00:05<00:01, 98.76step/s, loss 1.2345, 0.4 GB]",
    70: " 85% 510/600 [00:05<00:01, 98.76step/s, loss 1.2345, 0.4 GB]",
    56: " 85% 510/600 [00:05<00:01, 98.76step/s, loss 1.2345]",
    40: " 85% 510/600 [00:05<00:01, 98.76step/s]",
    20: " 85% 510/600",
    4: "85%",
    2: "",
}


@pytest.mark.parametrize("room", SHOWN)
def test_a_bar_says_what_there_is_room_for(room: int) -> None:
    assert fitted(BAR, room) == SHOWN[room]


def test_what_is_no_bar_is_cut() -> None:
    assert fitted("reading: 12 files", 9) == "reading: "
    assert fitted("", 9) == ""
    assert fitted("something", -3) == ""
