"""A training as a stage runs it: progress, a state to resume from, checkpoint and curves in the end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import egopack_native
import torch

from egopack.checksums import NOTE
from egopack.data.loader import Loader
from egopack.data.samples import Sample
from egopack.data.shard_reader import FeatureShards
from egopack.data.splits import read_split
from egopack.errors import UserError
from egopack.evaluation.evaluate import headlines
from egopack.model.checkpoint import load_checkpoint, save_checkpoint
from egopack.model.compilation import compiled
from egopack.model.config import About
from egopack.model.initial_weights import load_initial
from egopack.model.network import Network
from egopack.params import OptimizerParams, RuntimeParams
from egopack.runtime.device import memory_gb
from egopack.runtime.progress import progress, steps_in_lines
from egopack.runtime.ranks import Ranks
from egopack.runtime.reproducible import kept
from egopack.training.curves import Board, write_curves
from egopack.training.elsewhere import differences, of_another_run, setting_of
from egopack.training.finite import NotFiniteError
from egopack.training.loaders import train_loader, training_samples
from egopack.training.loop import EpochReport, train
from egopack.training.signals import stoppable
from egopack.training.state import Scratch, digest_files, digest_tensors, prune, run_digest


@dataclass(frozen=True)
class Folders:
    """Where trainings find what they read and leave what they write, each under its name or its task; `board` is
    TensorBoard's.
    """

    shards: Path
    samples: Path
    models: Path
    curves: Path
    scratch: Path
    board: Path | None = None


def samples_of(folder: Path, params: OptimizerParams) -> list[Sample]:
    """What `params` says that the task of this folder trains on."""
    train, both = read_split(folder, "train"), params.extras.train_on_val
    return training_samples(train, read_split(folder, "val") if both else [], both=both)


@dataclass(frozen=True)
class Training:
    """A training of `network` as `params` says: `name` ("single/ar") is what its checkpoint and curves are found under,
    `initial` the folder of a checkpoint to start from, `known` what its checkpoint says besides. Rank 0 alone writes.
    """

    name: str
    network: Network
    params: OptimizerParams
    runtime: RuntimeParams
    seed: int
    device: torch.device
    ranks: Ranks
    folders: Folders
    initial: Path | None = None
    known: About | None = None

    def run_alone(self, task: str, batch_size: int, features: FeatureShards) -> str | None:
        """`run` with one task."""
        loader = train_loader(
            task,
            self.network.head(task).params,
            samples_of(self.folders.samples / task, self.params),
            features,
            batch_size=batch_size,
            radius_s=self.network.spec.backbone.radius_s,
            seed=self.seed,
        )
        return self.run({task: loader})

    def run(self, loaders: Mapping[str, Loader]) -> str | None:
        """Train and write data/models/<name> and metrics/curves/<name>.csv, which grows epoch by epoch; one line an
        epoch and a bar over all steps. What it ends with in words, on rank 0.
        """
        self.begin()
        scratch = self.scratch(loaders)
        with (
            stoppable(scratch if self.ranks.world == 1 else None),  # several would have to stop at the same step
            compiled(self.network, "params.yaml: runtime.compile") if self.runtime.compile else nullcontext(),
        ):
            try:
                reports = self.with_bar(loaders, scratch)
            except NotFiniteError as error:
                raise UserError(f"{self.name}: {error}") from None
        if not self.ranks.is_main:
            return None
        moved = scratch is not None and len(scratch.settings) > 1  # then no machine gives these bytes in one go
        promise = None if moved else kept(self.runtime.reproducible)
        folder = self.folders.models / self.name
        save_checkpoint(folder, self.network, promise, self.known)
        if not reports:
            write_curves(self.curves, reports)
        if scratch is not None:
            scratch.clear()
        count = sum(parameter.numel() for parameter in self.network.parameters())
        loss = f", loss {sum(reports[-1].losses.values()):.4f}" if reports else ""
        return f"{folder}: {count:,} parameters on {self.device}{loss}"

    @property
    def curves(self) -> Path:
        """The file of the curves."""
        return self.folders.curves / f"{self.name}.csv"

    def board(self) -> Board | None:
        """What shows the curves in TensorBoard, where params ask for it; rank 0's."""
        if not (self.runtime.tensorboard and self.folders.board and self.ranks.is_main):
            return None
        return Board(self.folders.board / self.name)

    def begin(self) -> None:
        """Start from the checkpoint `initial`, if there is one."""
        if self.initial is None:
            return
        checkpoint = load_checkpoint(self.initial)
        new = load_initial(self.network, checkpoint, str(self.initial), whole=self.params.epochs == 0)
        if self.ranks.is_main:
            click.echo(f"{self.name}: starts from {self.initial}" + (f"; {', '.join(new)} from scratch" if new else ""))

    def with_bar(self, loaders: Mapping[str, Loader], scratch: Scratch | None) -> list[EpochReport]:
        """The training loop with its output, which is rank 0's; the reports of all epochs."""

        def evaluate(network: Network) -> dict[str, tuple[float, str]]:
            features = FeatureShards(self.folders.shards)
            return headlines(
                network, self.folders.samples, features, seed=self.seed, device=self.device, ranks=self.ranks
            )

        name, epochs, warned, seen = self.name, self.params.epochs, set[str](), list[EpochReport]()
        board = self.board()
        with progress(0, name, silent=not self.ranks.is_main) as bar:
            say = bar.write if self.ranks.is_main else ignore
            tell = steps_in_lines(name, say) if bar.disable else ignore_step

            def on_step(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)
                tell(done, total)
                if scratch is not None and scratch.stop:
                    say(f"{name}: stopped after step {done}; what was trained is kept, run the same again to resume")
                    raise KeyboardInterrupt

            def on_epoch(report: EpochReport) -> None:
                values = report.losses | {f"val/{metric}": value for metric, value in report.scores.items()}
                terms = "  ".join(f"{term} {value:.4f}" for term, value in values.items())
                say(f"{name}: epoch {report.epoch + 1}/{epochs}  lr {report.lr:.1e}  {terms}")
                bar.set_postfix_str(f"loss {sum(report.losses.values()):.4f}, {memory_gb(self.device):.1f} GB")
                seen.append(report)
                if self.ranks.is_main:
                    write_curves(self.curves, seen)
                if board is not None:
                    board.add(report)
                for task in self.network.spec.tasks:
                    trouble = self.network.head(task).trouble()
                    if trouble and task not in warned:
                        warned.add(task)
                        say(f"Warning: tasks.{task}: {trouble}")

            return train(
                self.network,
                loaders,
                self.params,
                device=self.device,
                on_step=on_step,
                on_epoch=on_epoch,
                on_resume=lambda step: say(f"{name}: {resumes(step, scratch)}"),
                evaluate=evaluate,
                scratch=scratch,
                precision=self.runtime.precision,
                ranks=self.ranks,
            )

    def scratch(self, loaders: Mapping[str, Loader]) -> Scratch | None:
        """Where the state of this very run is kept: same code, data, params, starting weights, whatever it runs on."""
        if not self.runtime.save_every:
            return None
        root, run, digest = self.folders.scratch, dict[str, Any](), ""
        if self.ranks.is_main:
            for old in prune(root):
                click.echo(f"{self.name}: removed {old}, which no run resumed")
            run = self.determining(loaders, root)
            digest = run_digest(run)
            if not (root / digest).exists() and (other := of_another_run(root, run)):
                click.echo(f"{self.name}: begins anew; {other}")
        folder = root / self.ranks.broadcast(digest)
        return Scratch(folder, self.runtime.save_every, run, setting_of(self.device, self.ranks))

    def determining(self, loaders: Mapping[str, Loader], root: Path) -> dict[str, Any]:
        """All that determines what a run computes; digests of large files are noted under `root`."""
        source = Path(__file__).parents[1]
        return {
            "name": self.name,
            "params": self.params.model_dump(mode="json"),
            "spec": self.network.spec.model_dump(mode="json"),
            "weights": digest_tensors(self.network.state_dict()),
            "seed": self.seed,
            "runtime": self.runtime.model_dump(mode="json", exclude={"save_every", "device", "threads", "tensorboard"}),
            "torch": torch.__version__,
            "code": digest_files(source.rglob("*.py")),
            "compiled": run_digest(egopack_native.SOURCES),
            "features": digest_files(self.folders.shards.glob("*.*"), root / NOTE),
            "loaders": {
                task: {
                    **{"batch_size": one.batch_size, "levels": one.levels, "radius_s": one.radius_s, "seed": one.seed},
                    "samples": digest_files((self.folders.samples / task).glob("*.h5")),
                }
                for task, one in loaders.items()
            },
        }


def resumes(step: int, scratch: Scratch | None) -> str:
    """What to say of a run that resumes; where it runs on something else than before, how that matters."""
    text = f"resumes after step {step} of a run that was stopped"
    if scratch is None or len(scratch.settings) == 1:
        return text
    differs = differences(*scratch.settings[-2:])
    return f"{text}, with other {differs}: from here on its bytes are those of this setting"


def ignore_step(done: int, total: int) -> None:
    """Where a bar shows the steps."""


def ignore(line: str) -> None:
    """What ranks other than 0 say."""
