"""The contract: what is kept, what is refused, and a task that needs one file."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from egopack.data.splits import read_labels, read_split
from egopack.ego4d.sources.table import SOURCES
from egopack.errors import UserError
from egopack.evaluation.predict import predict
from egopack.footage.annotations import FAMILIES
from egopack.model.checkpoint import load_checkpoint, save_checkpoint
from egopack.model.prototypes import build_prototypes
from egopack.model.regimes import multi_network, novel_network, single_network
from egopack.params import InteractionParams
from egopack.preparation.index import index_task
from egopack.tasks.base import check_task, load_task
from egopack.training.loaders import train_loader
from egopack.training.loop import EpochReport, train
from tests.support import small

CPU = torch.device("cpu")
BLOCK = {
    "annotations": "moments",
    "levels": 1,
    "samples": {},
    "model": {"features": small.HIDDEN, "classifier_hidden": 7},
    "train": {"batch_size": 4, "epochs": 12, "warmup_epochs": 1, "lr": 0.02},
    "egopack": {"batch_size": 4, "epochs": 2, "warmup_epochs": 1, "lr": 0.01},
}


@pytest.mark.parametrize("name", small.TASKS)
def test_every_task_keeps_the_contract(name: str) -> None:
    kind = load_task(name)
    assert kind.__module__ == f"egopack.tasks.{name}"
    assert kind.headline
    assert set(kind.headline.values()) <= {"max", "min"}
    assert not kind.__abstractmethods__


def test_no_such_task() -> None:
    with pytest.raises(UserError, match=r"tasks\.base: there is no src/egopack/tasks/base\.py"):
        load_task("base")
    with pytest.raises(
        UserError, match=r"there is no src/egopack/tasks/nope\.py \(there are ar, lta, mq, oscc, pnr, scenario\)"
    ):
        load_task("nope")


def test_a_block_is_checked_by_its_task() -> None:
    block = check_task("mq", BLOCK | {"decode": {"sigma": 0.5}})
    assert isinstance(block, load_task("mq").Params)
    assert (block.model.features, block.model.momentum) == (small.HIDDEN, 0.9)
    assert block.decode.sigma == 0.5
    assert check_task("mq", BLOCK).decode == load_task("mq").Decode()
    assert block.egopack is not None
    assert (block.train.lr, block.egopack.epochs) == (0.02, 2)
    short = copy.deepcopy(BLOCK)
    del short["egopack"]
    assert check_task("mq", short).egopack is None
    del short["train"]
    with pytest.raises(UserError, match=r"^params\.yaml: tasks\.mq\.train: this key is missing$"):
        check_task("mq", short)


@pytest.mark.parametrize("name", [*small.TASKS, "scenario"])
def test_a_source_that_a_task_cannot_read(name: str) -> None:
    known = load_task(name).sources
    assert known[0] in SOURCES
    assert set(known[1:]) <= {*FAMILIES}
    other = "moments" if "moments" not in known else "fho_lta"
    message = rf"^params\.yaml: tasks\.{name}\.annotations: '{other}', but {name} can read only {', '.join(known)}$"
    for source in known:
        assert check_task(name, BLOCK | {"annotations": source}).annotations == source
    with pytest.raises(UserError, match=message):
        check_task(name, BLOCK | {"annotations": other})


def test_voting_over_all_classes_needs_them_to_meet() -> None:
    decode = {"voting_threshold": 0.5}
    assert check_task("mq", BLOCK | {"decode": decode | {"per_class": False}}).decode.voting_threshold == 0.5
    message = r"^params\.yaml: tasks\.mq\.decode: voting_threshold 0\.5 .*; set per_class to false"
    with pytest.raises(UserError, match=message):
        check_task("mq", BLOCK | {"decode": decode})


TOY = '''
"""Whether the first feature of a video is positive on the average."""
from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from egopack.data.samples import Sample
from egopack.nn.fusion import fuse
from egopack.nn.heads import video_max
from egopack.params import NoParams, TaskParams
from egopack.tasks.base import Task


def sign_of(uid):
    return np.array([int(uid.endswith("plus"))])


class ToyParams(TaskParams):
    samples: NoParams


class Toy(Task):
    Params = ToyParams
    sources = ("none",)
    headline = {"accuracy": "max"}

    def __init__(self, hidden, params, labels, streams=()):
        super().__init__(hidden, params, labels, streams)
        self.out = torch.nn.Linear(self.model.features, labels["signs"])

    @classmethod
    def labels(cls, annotations):
        return {"signs": ("minus", "plus")}

    @classmethod
    def samples(cls, source, split, params):
        return [
            Sample(uid, uid, np.arange(count), source.grid.positions(count), {"sign": sign_of(uid)})
            for uid, count in source.rows.items()
        ]

    def align(self, features, batch):
        return video_max(features[0], batch.pyramid[0].videos)

    def forward(self, levels, batch, streams=None):
        return {"logits": self.out(fuse(self.align([self.neck(levels[0])], batch), streams))}

    def loss(self, outputs, batch):
        signs = batch.targets["sign"]
        return {"sign": F.cross_entropy(outputs["logits"], signs) * batch.share(signs)}

    def decode(self, outputs, batch, samples, decode, generator):
        return pd.DataFrame({"key": [sample.key for sample in samples], "sign": outputs["logits"].argmax(1).numpy()})

    @classmethod
    def score(cls, predictions, samples, labels):
        truth = np.concatenate([sample.targets["sign"] for sample in samples])
        return {"accuracy": 100 * float((predictions["sign"].to_numpy() == truth).mean())}

    @classmethod
    def chance(cls, train, samples, labels, generator):
        signs = generator.integers(0, 2, len(samples))
        return pd.DataFrame({"key": [sample.key for sample in samples], "sign": signs})
'''


class Shifted(small.Features):
    """Features whose first column tells the video's sign."""

    def rows(self, uid: str, rows: np.ndarray) -> np.ndarray:
        table = super().rows(uid, rows)
        table[:, 0] += 1.5 if uid.endswith("plus") else -1.5
        return table


def test_a_new_task_is_one_file(folder_of_tasks: Path, tmp_path: Path) -> None:
    (folder_of_tasks / "toy.py").write_text(TOY)
    block = check_task("toy", BLOCK | {"annotations": "none"})
    rows = {f"v{index}-{'plus' if index % 3 else 'minus'}": 4 + index for index in range(24)}
    source = small.source_of(small.FakeAnnotations())
    folder = tmp_path / "samples"
    index_task("toy", load_task("toy"), block, source.annotations, rows, small.FEATURES, folder)
    samples, labels, features = read_split(folder, "train"), read_labels(folder), Shifted()
    assert labels == {"signs": ("minus", "plus")}
    sizes = {"toy": {name: len(classes) for name, classes in labels.items()}, "lta": small.sizes("lta")}

    torch.manual_seed(0)
    network = single_network(small.WIDTH, small.backbone_params(), "toy", block, sizes["toy"])
    loader = train_loader("toy", block, samples, features, batch_size=4, radius_s=2.0, seed=0)
    reports: list[EpochReport] = []
    train(network, {"toy": loader}, block.train, device=CPU, on_epoch=reports.append)
    assert reports[-1].losses["toy/sign"] < 0.5 * reports[0].losses["toy/sign"]
    save_checkpoint(tmp_path / "model", network)
    table = predict(load_checkpoint(tmp_path / "model"), "toy", samples, features, block.decode, seed=0, device=CPU)
    assert table["key"].tolist() == [sample.key for sample in samples]
    assert load_task("toy").score(table, samples, labels)["accuracy"] > 90
    assert load_task("toy").submission(table, samples, labels) is None

    members = {"toy": block, "lta": small.task_params("lta")}
    pack = multi_network(small.WIDTH, small.backbone_params(), members, sizes, levels=2)
    actions = train_loader(
        "ar", small.task_params("ar"), small.samples_of("ar"), features, batch_size=2, radius_s=2.0, seed=0
    )
    prototypes = build_prototypes(pack, actions, verbs=5, nouns=6, device=CPU)
    novel = novel_network(
        "oscc", small.task_params("oscc"), small.sizes("oscc"), pack, prototypes, InteractionParams(k=2)
    )
    novel_loader = train_loader(
        "oscc", small.task_params("oscc"), small.samples_of("oscc"), features, batch_size=2, radius_s=2.0, seed=0
    )
    train(novel, {"oscc": novel_loader}, block.egopack, device=CPU, on_epoch=reports.append)
    assert np.isfinite(reports[-1].losses["oscc/change"])


@pytest.mark.parametrize(("content", "found"), [("x = 1", 0), (TOY + "\n\nclass Other(Toy):\n    pass\n", 2)])
def test_a_file_must_define_one_task(content: str, found: int, folder_of_tasks: Path) -> None:
    (folder_of_tasks / "odd.py").write_text(content)
    with pytest.raises(UserError, match=rf"src/egopack/tasks/odd\.py: expected one subclass of Task, found {found}"):
        load_task("odd")


@pytest.mark.parametrize("name", small.TASKS)
def test_a_batch_of_samples_equals_each_alone(name: str) -> None:
    network = small.randomize(small.network_of(name)).eval()
    levels = network.head(name).params.levels
    samples = small.samples_of(name)
    together = network(name, small.batch_of(samples, levels=levels))
    alone = [network(name, small.batch_of([sample], levels=levels)) for sample in samples]
    for key, value in together.items():
        parts = [outputs[key] for outputs in alone]
        if name == "mq":  # level by level, and by video within a level
            pyramids = [small.batch_of([sample], levels=levels).pyramid for sample in samples]
            cut = [part.split([len(level.pos) for level in own]) for part, own in zip(parts, pyramids, strict=True)]
            parts = [one[level] for level in range(levels) for one in cut]
        torch.testing.assert_close(value, torch.cat(parts), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", small.TASKS)
def test_every_parameter_of_a_head_learns(name: str) -> None:
    network = small.network_of(name).train()
    task = network.head(name)
    batch = small.batch_of(small.samples_of(name), levels=task.params.levels)
    terms = task.loss(network(name, batch), batch)
    assert all(term.ndim == 0 for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    without = {key for key, parameter in network.named_parameters() if parameter.grad is None}
    assert not without
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("name", ["ar", "oscc", "pnr"])
def test_fusion_of_logits_has_one_head_a_stream(name: str) -> None:
    task = small.task_of(name, streams=("x", "y"), fusion="logits").eval()
    plain = small.task_of(name).eval()
    plain.load_state_dict({key: value for key, value in task.state_dict().items() if not key.startswith("stream.")})
    batch = small.batch_of(small.samples_of(name))
    levels = [torch.randn(len(batch.x), small.HIDDEN)]
    key = next(key for key in task(levels, batch) if key.endswith("logits"))
    aligned = task.align([task.neck(levels[0])], batch)
    streams = {"x": torch.randn_like(aligned), "y": torch.randn_like(aligned)}
    part = "verb" if name == "ar" else "classifier"
    expected = plain(levels, batch)[key] + sum(task.stream[one][part](value) for one, value in streams.items())
    torch.testing.assert_close(task(levels, batch, streams)[key], expected / 3)
    bias = task.stream["x"][part].bias if name == "pnr" else task.stream["x"][part]["out"].bias
    assert (bias is None) == (name != "pnr")


FUSED = [("ar", "verb", 1.0), ("oscc", "classifier", 1.0), ("lta", "verb", 1.0), ("pnr", "classifier", 0.01)]


@pytest.mark.parametrize(("name", "head", "scale"), FUSED)
def test_features_are_fused_as_each_task_wants(name: str, head: str, scale: float) -> None:
    task = small.task_of(name, streams=("x", "y")).eval()
    seen: list[torch.Tensor] = []
    module = task.convolutions()[0] if name == "lta" else getattr(task, head)
    module.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    batch, copies = small.batch_of(small.samples_of(name)), 4 if name == "lta" else 1
    levels = [torch.randn(len(batch.x), small.HIDDEN)]
    task(levels, batch)
    streams = {one: torch.randn_like(seen[0][::copies]) for one in "xy"}
    task(levels, batch, streams)
    mean = ((streams["x"] + streams["y"]) / 2).repeat_interleave(copies, 0)
    torch.testing.assert_close(seen[1], seen[0] + scale * mean)


@pytest.mark.parametrize("name", ["ar", "oscc", "lta", "mq"])
def test_tasks_without_augmentation_draw_the_sample_itself(name: str) -> None:
    task, sample = small.task_of(name), small.samples_of(name, 1)[0]
    assert task.augment(sample, task.params, np.random.default_rng(0)) is sample
