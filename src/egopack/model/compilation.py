"""torch.compile, for a network whose batches are of any size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from egopack.errors import UserError
from egopack.model.network import Network
from egopack.nn.backbone import LevelBlock
from egopack.nn.heads import Classifier, Neck
from egopack.nn.interaction import InteractionRound

BLOCKS = (LevelBlock, Neck, Classifier, InteractionRound)


@contextmanager
def compiled(network: Network, key: str) -> Iterator[None]:
    """Inside, torch compiles the blocks that the network is made of at their first call, for any number of nodes.

    Block by block, not as a whole: levels that are alike are compiled once, and what stands between the blocks depends
    on the batch. Names of parameters and buffers stay as they are.

    Raises:
        UserError: torch cannot compile on this machine; it names the setting `key`.
    """
    from torch._dynamo.exc import TorchDynamoException  # imports the compiler

    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    for block in blocks:
        block.compile(dynamic=True)
    try:
        yield
    except TorchDynamoException as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"{key}: torch cannot compile here ({reason}); set it to false") from error
    finally:
        for block in blocks:
            block._compiled_call_impl = None
