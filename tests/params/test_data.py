from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.params_tree import changed, refusal


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".hidden"])
def test_a_feature_set_is_a_folder(name: str, tmp_path: Path) -> None:
    message = refusal(changed("data.features", {name: {"size": 4}}), tmp_path)
    assert message.startswith("data.features: not the name of a folder of features: ")
    assert message.endswith(f" (got {name!r})")
