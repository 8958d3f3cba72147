"""Small networks of a novel task."""

from __future__ import annotations

from egopack.model.network import NeckSpec, Network, NetworkSpec
from egopack.params import InteractionParams
from tests.support import small


def novel_network(name: str) -> Network:
    """A task helped by all the others."""
    support = {
        other: NeckSpec(features=small.HIDDEN, dropout=0.0, prototypes=5) for other in small.TASKS if other != name
    }
    spec = small.network_of(name).spec.model_dump()
    interaction = InteractionParams(k=2, hidden=4)
    return Network(NetworkSpec.model_validate(spec | {"support": support, "interaction": interaction}))
