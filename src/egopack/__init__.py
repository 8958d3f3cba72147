"""Hier-EgoPack: one hierarchical temporal graph network for five tasks of first-person video.

>>> import egopack
>>> model = egopack.load("data/models/egopack/mq")   # doctest: +SKIP
>>> table = model.predict("features.npy")            # doctest: +SKIP
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
