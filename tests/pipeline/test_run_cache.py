"""DVC gives back what was computed before."""

from __future__ import annotations

from collections.abc import Iterable

from tests.pipeline.conftest import Clone

COMPUTE = ("shard", "index@", "train_", "build_prototypes@", "evaluate_")  # what is not to be done twice


def computed(ran: Iterable[str]) -> list[str]:
    return [name for name in ran if name.startswith(COMPUTE)]


def rate(clone: Clone, task: str, value: float) -> None:
    clone.edit(lambda params: params["tasks"][task]["train"].update(lr=value))


def test_what_was_tried_before_is_given_back(clone: Clone) -> None:
    first = (clone.path / "metrics/single/ar.json").read_text()
    kept = (clone.path / "params.yaml").read_text()
    rate(clone, "ar", 0.03)
    assert {"train_single@ar", "evaluate_single@ar"} <= set(computed(clone.repro("evaluate_single@ar")))
    second = (clone.path / "metrics/single/ar.json").read_text()
    assert second != first
    for text, expected in ((kept, first), (None, second), (kept, first)):
        if text is None:
            rate(clone, "ar", 0.03)
        else:
            (clone.path / "params.yaml").write_text(text)
        assert computed(clone.repro("evaluate_single@ar")) == []
        assert (clone.path / "metrics/single/ar.json").read_text() == expected


def test_a_lock_that_was_cut(clone: Clone) -> None:
    """As README says: taken back from git, and what ran since comes from the cache."""
    rate(clone, "mq", 0.007)
    assert computed(clone.repro("evaluate_single@mq"))
    lock = clone.path / "dvc.lock"
    lock.write_bytes(lock.read_bytes()[:700])
    clone.git("checkout", "dvc.lock")
    assert computed(clone.repro("evaluate_single@mq")) == []
