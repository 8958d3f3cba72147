"""Hier-EgoPack: one hierarchical temporal graph network for five tasks of first-person video.

>>> import egopack
>>> model = egopack.load("model", device="cpu")
>>> table = model.predict("kitchen.npy", segments=[[0.0, 8.0], [8.0, 12.5]])
>>> table[["video", "task", "start", "end"]]
     video task  start   end
0  kitchen   ar    0.0   8.0
1  kitchen   ar    8.0  12.5

There stand also `label`, its `score`, and what else a task tells (`egopack.inference.model.Model.predict`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egopack.inference.model import Model


def load(folder: Path | str, device: str = "auto") -> Model:
    """A trained model from its folder, ready to predict; `device`: auto (a GPU where there is one), cpu, cuda, cuda:1.

    Raises:
        egopack.errors.UserError: the folder is not a whole checkpoint; the message says what is wrong with it.
    """
    from egopack.inference.model import load_model

    return load_model(folder, device)
