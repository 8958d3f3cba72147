"""Which stage runs when: order, shares of the machine, what a failure leaves out. Knows neither DVC nor processes."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Job:
    """What a stage takes: `slots` of those that run at once, GPUs, bytes of memory, and seconds, as in the last run."""

    slots: int = 1
    gpus: int = 0
    memory: int = 0
    seconds: float = 1.0


@dataclass(frozen=True)
class Room:
    """What there is for all that run at once."""

    slots: int = 1
    gpus: tuple[str, ...] = ()
    memory: float = float("inf")


@dataclass(frozen=True)
class Share:
    """What a running job has got: numbers of slots, names of GPUs, bytes."""

    slots: tuple[int, ...]
    gpus: tuple[str, ...]
    memory: int


@dataclass
class Plan:
    """Jobs with what must be done before each. The one with the longest way to the end is first; while it does not
    fit, nothing overtakes it. A job that needs more than there is gets all there is, alone.
    """

    after: Mapping[str, Set[str]]
    jobs: Mapping[str, Job]
    room: Room
    running: dict[str, Share] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sorter: TopologicalSorter[str] = TopologicalSorter(self.after)
        self.way = longest_ways(self.after, self.jobs)
        self.sorter.prepare()
        self.waiting = list(self.sorter.get_ready())

    def next(self) -> str | None:
        """The job to start now, if one can start."""
        if not self.waiting:
            return None
        first = min(self.waiting, key=lambda name: (-self.way[name], name))
        return first if self._share(self.jobs[first]) else None

    def start(self, name: str) -> Share:
        """Take a job's share of the room; it is one that `next` gave."""
        share = self._share(self.jobs[name])
        assert share is not None
        self.waiting.remove(name)
        self.running[name] = share
        return share

    def end(self, name: str, *, failed: bool = False) -> None:
        """A job that was started has ended, or one that was next need not start."""
        if self.running.pop(name, None) is None:
            self.waiting.remove(name)
        if failed:
            self.failed.add(name)
            return
        self.done.add(name)
        self.sorter.done(name)
        self.waiting += self.sorter.get_ready()

    def left_out(self) -> set[str]:
        """Jobs that cannot start since one that they need has failed."""
        return set(self.after) - self.done - self.failed - set(self.running) - set(self.waiting)

    def _share(self, job: Job) -> Share | None:
        taken = [number for share in self.running.values() for number in share.slots]
        free = [number for number in range(self.room.slots) if number not in taken]
        used = {name for share in self.running.values() for name in share.gpus}
        idle = [name for name in self.room.gpus if name not in used]
        memory = self.room.memory - sum(share.memory for share in self.running.values())
        slots, gpus = min(job.slots, self.room.slots), min(job.gpus, len(self.room.gpus))
        if len(free) < slots or len(idle) < gpus or (self.running and memory < job.memory):
            return None
        return Share(tuple(free[:slots]), tuple(idle[:gpus]), job.memory)


def longest_ways(after: Mapping[str, Set[str]], jobs: Mapping[str, Job]) -> dict[str, float]:
    """Seconds from the start of each job to the end of the last that waits for it."""
    way = {name: jobs[name].seconds for name in after}
    for name in reversed(list(TopologicalSorter(after).static_order())):
        for before in after[name]:
            way[before] = max(way[before], jobs[before].seconds + way[name])
    return way
