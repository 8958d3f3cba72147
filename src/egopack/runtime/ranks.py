"""Ranks: processes that train one network together, started by torchrun over torch.distributed.

Every rank plans the same batches and computes its part of each; what is summed over the ranks is what one process would
have had. A process on its own is rank 0 of 1, for which everything here is the identity.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.distributed import Store  # type: ignore[attr-defined]

T = TypeVar("T")
TORCHRUN = "TORCHELASTIC_RUN_ID"  # torchrun sets it for what it starts, and nothing else does
KEPT_STEP = "step of the state that is kept"  # a note for the others
LONGEST_WAIT = timedelta(hours=1)  # for a rank that is slow; one that died is noticed at once


@dataclass(frozen=True)
class Ranks:
    """This process is `rank` of `world`. `store` is where ranks leave each other notes."""

    rank: int = 0
    world: int = 1
    store: Store | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which alone writes."""
        return self.rank == 0

    def all_reduce(self, value: Tensor) -> Tensor:
        """The sum over all ranks of a tensor, without gradient, the same bits on each."""
        if self.world == 1:
            return value
        from torch import distributed

        total = value.detach().clone()
        distributed.all_reduce(total)
        return total

    def all_gather(self, value: T) -> list[T]:
        """The value of every rank, in their order."""
        if self.world == 1:
            return [value]
        from torch import distributed

        values: list[T] = [value] * self.world
        distributed.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """The value of rank 0."""
        if self.world == 1:
            return value
        from torch import distributed

        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def note(self, name: str, text: str) -> None:
        """Leave a note that outlives this rank, as long as torchrun runs."""
        if self.store is not None:
            self.store.set(name, text)

    def noted(self, name: str) -> str | None:
        """The note of that name, if any rank has left one."""
        if self.store is None or not self.store.check([name]):
            return None
        return self.store.get(name).decode()

    def is_first_to_end(self) -> bool:
        """Whether no other rank has asked this before."""
        return self.store is None or self.store.add("ended", 1) == 1


ALONE = Ranks()


def world_size() -> int:
    """How many ranks torchrun started with this one; 1 where it did not start it, whatever WORLD_SIZE is in the
    environment for others.
    """
    return int(os.environ["WORLD_SIZE"]) if TORCHRUN in os.environ else 1


def join() -> Ranks:
    """Meet the ranks that torchrun started with this one; alone where it started no other.

    They speak through gloo about what is in memory and through NCCL about what is on a GPU.
    """
    if world_size() == 1:
        return ALONE
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch warns where a step did use every parameter
    import torch
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    store, rank, world = next(rendezvous("env://", timeout=LONGEST_WAIT))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=LONGEST_WAIT)
    return Ranks(rank, world, store)


def leave(ranks: Ranks) -> None:
    """Part from the other ranks, after all is done."""
    if ranks.world > 1:
        from torch import distributed

        distributed.destroy_process_group()


def is_lost_rank(error: RuntimeError) -> bool:
    """Whether an error says that another rank cannot be reached any more."""
    from torch import distributed

    return isinstance(error, distributed.DistError) or "gloo/" in str(error)


def data_parallel(model: nn.Module, ranks: Ranks) -> nn.Module:
    """A model whose gradients are averaged over the ranks when backward has run; alone, the model itself."""
    if ranks.world == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    # a step need not use every parameter: those of other tasks, or of a neck where no segment holds a node
    return DistributedDataParallel(model, forward_sync_buffers=False, find_unused_parameters=True)


def all_reduce_losses(losses: dict[str, dict[str, Tensor]], ranks: Ranks) -> dict[str, dict[str, Tensor]]:
    """Scalars of every task by name, each summed over the ranks."""
    if ranks.world == 1:
        return losses
    import torch

    total = iter(ranks.all_reduce(torch.stack([value for terms in losses.values() for value in terms.values()])))
    return {task: {term: next(total) for term in terms} for task, terms in losses.items()}


def no_sync(model: nn.Module) -> AbstractContextManager[None]:
    """Inside, gradients of this rank pile up and are not averaged yet."""
    from torch.nn.parallel import DistributedDataParallel

    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
