from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from egopack.data.loader import Loader
from egopack.data.samples import Sample
from egopack.errors import UserError
from egopack.model.network import Network
from egopack.model.prototypes import Prototypes, build_prototypes, load_prototypes, save_prototypes
from tests.support import small

CPU = torch.device("cpu")
VERBS, NOUNS = 5, 6


def network_of() -> Network:
    return small.randomize(small.network_of("lta", "mq", backbone=small.backbone_params(dropout=0.5), dropout=0.5))


def samples_of(count: int = 6) -> list[Sample]:
    samples = small.samples_of("ar", count)
    for index, sample in enumerate(samples):
        sample.targets["verbs"] = np.full_like(sample.targets["verbs"], index % 2)
        sample.targets["verbs"][0] = -1 if index == 3 else 4
        sample.targets["nouns"][0] = -1 if index == 4 else 2
    return samples


def built(samples: list[Sample], batch_size: int = 2) -> Prototypes:
    loader = Loader(samples, small.Features(), batch_size=batch_size, levels=1, radius_s=2.0)
    return build_prototypes(network_of(), loader, verbs=VERBS, nouns=NOUNS, device=CPU)


def by_loops(samples: list[Sample]) -> dict[str, dict[tuple[int, int], torch.Tensor]]:
    network = network_of().eval()
    sums: dict[str, dict[tuple[int, int], list[torch.Tensor]]] = {name: {} for name in network.task}
    with torch.no_grad():
        for sample in samples:
            batch = small.batch_of([sample])
            nodes = network.backbone(batch.x, batch.pyramid)[0]
            for name in network.task:
                features = network.head(name).neck(nodes)
                for (start, end), verb, noun in zip(
                    sample.segments, sample.targets["verbs"], sample.targets["nouns"], strict=True
                ):
                    inside = torch.from_numpy((sample.pos >= start) & (sample.pos <= end))
                    mean = features[inside].mean(0) if inside.any() else torch.zeros(small.HIDDEN)
                    if verb >= 0 and noun >= 0:
                        sums[name].setdefault((int(verb), int(noun)), []).append(mean)
    return {
        name: {pair: torch.stack(rows).mean(0) for pair, rows in sorted(found.items())} for name, found in sums.items()
    }


def test_prototypes_by_loops() -> None:
    samples = samples_of()
    found, expected = built(samples), by_loops(samples)
    pairs = list(zip(found.verb.tolist(), found.noun.tolist(), strict=True))
    assert (4, 2) in pairs
    assert list(found.rows) == ["lta", "mq"]
    for name, rows in found.rows.items():
        assert pairs == list(expected[name])  # verb-major; pairs without a segment have no row
        torch.testing.assert_close(rows, torch.stack(list(expected[name].values())), atol=1e-5, rtol=1e-4)
        assert rows.dtype == torch.float32


def test_batches_do_not_matter() -> None:
    samples = samples_of()
    for size in (1, 4, 6):
        for name, rows in built(samples, size).rows.items():
            torch.testing.assert_close(rows, built(samples).rows[name], atol=1e-5, rtol=1e-4)


def test_the_network_has_no_dropout_and_learns_nothing() -> None:
    assert torch.equal(built(samples_of()).rows["mq"], built(samples_of()).rows["mq"])
    assert not built(samples_of()).rows["mq"].requires_grad


@pytest.mark.parametrize("name", ["mq", "lta", "oscc"])
def test_samples_without_segments_of_verbs_and_nouns(name: str) -> None:
    loader = Loader(small.samples_of(name), small.Features(), batch_size=2, levels=1, radius_s=2.0)
    message = rf"^params\.yaml: prototypes\.task: samples of '{name}' have no segments with a verb and a noun each"
    with pytest.raises(UserError, match=message):
        build_prototypes(network_of(), loader, verbs=VERBS, nouns=NOUNS, device=CPU, task=name)


def test_no_segment_with_both_labels() -> None:
    samples = small.samples_of("ar", 4)
    for index, sample in enumerate(samples):
        sample.targets["nouns" if index % 2 else "verbs"][:] = -1
    with pytest.raises(UserError, match=r"no segment of 'ar' in the train split has both a verb and a noun label$"):
        built(samples)


@pytest.mark.parametrize("alone", ["verbs", "nouns"])
def test_prototypes_of_verbs_or_nouns_alone(alone: str) -> None:
    """By loops, with one label in place of the other everywhere."""
    other = "nouns" if alone == "verbs" else "verbs"
    samples = samples_of()
    for sample in samples:
        sample.targets[other] = np.full_like(sample.targets[other], -1)
    found = built(samples)
    for sample in samples:
        sample.targets[other] = np.zeros_like(sample.targets[other])
    expected = by_loops(samples)
    classes = (found.verb if alone == "verbs" else found.noun).tolist()
    assert set((found.noun if alone == "verbs" else found.verb).tolist()) == {-1}
    assert len(classes) > 2
    for name, rows in found.rows.items():
        assert classes == sorted(pair[alone == "nouns"] for pair in expected[name])
        torch.testing.assert_close(rows, torch.stack(list(expected[name].values())), atol=1e-5, rtol=1e-4)


def test_no_label_at_all() -> None:
    samples = samples_of()
    for sample in samples:
        for kind in ("verbs", "nouns"):
            sample.targets[kind] = np.full_like(sample.targets[kind], -1)
    with pytest.raises(UserError, match=r"no segment of 'ar' in the train split has a verb or a noun label$"):
        built(samples)


def test_round_trip_and_bytes(tmp_path: Path) -> None:
    prototypes = built(samples_of())
    for name in ("a", "b"):
        save_prototypes(tmp_path / f"{name}.safetensors", prototypes)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_prototypes(tmp_path / "a.safetensors")
    assert set(loaded.rows) == {"lta", "mq"}
    assert all(torch.equal(loaded.rows[name], rows) for name, rows in prototypes.rows.items())
    assert torch.equal(loaded.verb, prototypes.verb)
    assert torch.equal(loaded.noun, prototypes.noun)


@pytest.mark.parametrize("damage", ["missing", "cut", "no verbs"])
def test_a_damaged_file(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    if damage != "missing":
        save_prototypes(path, built(samples_of()))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    if damage == "no verbs":
        tensors = load_file(path)
        del tensors["verb"]
        save_file(tensors, path)
    with pytest.raises(UserError, match=r"p\.safetensors: not a whole file of prototypes: "):
        load_prototypes(path)


def test_prototypes_that_are_not_finite_are_neither_written_nor_read(tmp_path: Path) -> None:
    path, prototypes = tmp_path / "p.safetensors", built(samples_of())
    save_prototypes(path, prototypes)
    tensors = load_file(path)
    tensors["rows.mq"][0, 0] = torch.inf
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"p\.safetensors: 1 of 4 tensors hold NaN or Inf: rows\.mq; "):
        load_prototypes(path)
    prototypes.rows["lta"][0, 0] = torch.nan
    with pytest.raises(UserError, match=r"q\.safetensors: 1 of 4 tensors hold NaN or Inf: rows\.lta; "):
        save_prototypes(tmp_path / "q.safetensors", prototypes)
    assert not (tmp_path / "q.safetensors").exists()
