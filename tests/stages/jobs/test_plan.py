"""Order and shares of jobs, checked by an oracle that plays whole runs: nothing starts too early or takes too much."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from stages._jobs.plan import Job, Plan, Room, longest_ways


@st.composite
def problems(draw: st.DrawFn) -> tuple[dict[str, set[str]], dict[str, Job], Room]:
    """Jobs that need some of those before them, and a machine."""
    names = [f"job{number}" for number in range(draw(st.integers(1, 12)))]
    after = {
        name: set(draw(st.lists(st.sampled_from(names[:at]), max_size=3)) if at else [])
        for at, name in enumerate(names)
    }
    job = st.builds(Job, st.integers(1, 3), st.integers(0, 2), st.integers(0, 9), st.floats(0.1, 9))
    room = Room(draw(st.integers(1, 4)), tuple("ab"[: draw(st.integers(0, 2))]), draw(st.integers(1, 12)))
    return after, {name: draw(job) for name in names}, room


def play(plan: Plan, fails: set[str]) -> list[tuple[float, float, str]]:
    """Run the jobs of a plan in a time of its own; when each began and ended."""
    now, ends, ran = 0.0, list[tuple[float, str]](), []
    while True:
        while (name := plan.next()) is not None:
            plan.start(name)
            check_shares(plan)
            heapq.heappush(ends, (now + plan.jobs[name].seconds, name))
            ran.append((now, now + plan.jobs[name].seconds, name))
        if not ends:
            return ran
        now, name = heapq.heappop(ends)
        plan.end(name, failed=name in fails)


def check_shares(plan: Plan) -> None:
    shares = list(plan.running.values())
    slots = [slot for share in shares for slot in share.slots]
    gpus = [gpu for share in shares for gpu in share.gpus]
    assert len(set(slots)) == len(slots) <= plan.room.slots
    assert len(set(gpus)) == len(gpus) <= len(plan.room.gpus)
    assert len(shares) == 1 or sum(share.memory for share in shares) <= plan.room.memory


@given(problems(), st.data())
def test_whole_runs(problem: tuple[dict[str, set[str]], dict[str, Job], Room], data: st.DataObject) -> None:
    after, jobs, room = problem
    fails = data.draw(st.sets(st.sampled_from(sorted(jobs)), max_size=2))
    plan = Plan(after, jobs, room)
    ran = play(plan, fails)
    ended = {name: end for _, end, name in ran}
    needs = {name: reach(after, name) for name in after}
    assert set(ended) == {name for name in after if not needs[name] & fails}
    assert plan.left_out() == set(after) - set(ended)
    assert plan.failed == fails & set(ended)
    for begin, _, name in ran:
        assert all(ended[before] <= begin for before in after[name])


def reach(after: dict[str, set[str]], name: str) -> set[str]:
    """All that must be done before a job."""
    return after[name].union(*(reach(after, before) for before in after[name]))


def test_longest_way_first() -> None:
    after: dict[str, set[str]] = {"long": set(), "short": set(), "behind": {"short"}, "quick": set()}
    jobs = {name: Job(seconds=seconds) for name, seconds in [("long", 5), ("short", 2), ("behind", 4), ("quick", 1)]}
    assert longest_ways(after, jobs) == {"long": 5, "short": 6, "behind": 4, "quick": 1}
    assert [name for _, _, name in play(Plan(after, jobs, Room()), set())] == ["short", "long", "behind", "quick"]
    begins = {name: begin for begin, _, name in play(Plan(after, jobs, Room(2)), set())}
    assert begins == {"short": 0, "long": 0, "behind": 2, "quick": 5}


def test_nothing_overtakes_a_job_that_waits_for_room() -> None:
    after: dict[str, set[str]] = {"a": set(), "wide": set(), "b": set()}
    jobs = {"a": Job(seconds=9), "wide": Job(slots=2, seconds=8), "b": Job(seconds=1)}
    begins = {name: begin for begin, _, name in play(Plan(after, jobs, Room(2)), set())}
    assert begins == {"a": 0, "wide": 9, "b": 17}


def test_memory_is_a_bound_and_one_job_always_runs() -> None:
    after: dict[str, set[str]] = {name: set() for name in "abc"}
    jobs = {"a": Job(memory=99, seconds=3), "b": Job(memory=4, seconds=2), "c": Job(memory=4)}
    begins = {name: begin for begin, _, name in play(Plan(after, jobs, Room(4, (), 9)), set())}
    assert begins == {"a": 0, "b": 3, "c": 3}


def test_what_need_not_start_makes_room_at_once() -> None:
    plan = Plan({"a": set(), "b": {"a"}}, {"a": Job(), "b": Job()}, Room())
    assert plan.next() == "a"
    plan.end("a")
    assert plan.next() == "b"
    assert plan.done == {"a"}
