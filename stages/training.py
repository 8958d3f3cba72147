"""Training with a progress bar and a state to go on from, for the three stages that train."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import egopack_native
import torch

import egopack
from egopack.data.loader import Loader
from egopack.data.samples import Sample
from egopack.data.shard_reader import FeatureShards
from egopack.indexing import read_split
from egopack.params import OptimiserParams, Params
from egopack.training.blocks import compiled
from egopack.training.checkpoint import load_checkpoint, save_checkpoint
from egopack.training.curves import write_curves
from egopack.training.distributed import Ranks
from egopack.training.extras import start_from
from egopack.training.loop import EpochReport, train
from egopack.training.network import Network
from egopack.training.regimes import train_loader, training_samples
from egopack.training.starts import starts
from egopack.training.state import FILES, Scratch, digest_files, digest_tensors, prune, run_digest
from stages.common import METRICS, MODELS, PARAMS, SAMPLES, SCRATCH, SHARDS, original, progress, start_folder


def samples_of(task: str, params: OptimiserParams) -> list[Sample]:
    """What `params` says that a task trains on."""
    train, both = read_split(SAMPLES / task, "train"), params.extras.train_on_val
    return training_samples(train, read_split(SAMPLES / task, "val") if both else [], both=both)


@dataclass(frozen=True)
class Training:
    """A training as a stage runs it: `name` ("single/ar") is what data/models and metrics/curves have it under, `block`
    says how it is trained. Rank 0 alone writes.
    """

    name: str
    network: Network
    block: OptimiserParams
    params: Params
    device: torch.device
    ranks: Ranks

    def run_alone(self, task: str, batch_size: int, features: FeatureShards) -> None:
        """`run` with one task."""
        loader = train_loader(
            task,
            self.network.head(task).params,
            samples_of(task, self.block),
            features,
            batch_size=batch_size,
            radius_s=self.network.spec.backbone.radius_s,
            seed=self.params.seed,
        )
        self.run({task: loader})

    def run(self, loaders: Mapping[str, Loader]) -> None:
        """Train and write data/models/<name> and metrics/curves/<name>.csv; one line an epoch and a bar over all
        steps.
        """
        self.begin()
        scratch, runtime = self.scratch(loaders), self.params.runtime
        with (
            stoppable(scratch if self.ranks.world == 1 else None),  # several would have to stop at the same step
            compiled(self.network, f"{PARAMS}: runtime.compile") if runtime.compile else nullcontext(),
        ):
            reports = self.with_bar(loaders, scratch)
        if not self.ranks.leads:
            return
        save_checkpoint(MODELS / self.name, self.network)
        write_curves(METRICS / "curves" / f"{self.name}.csv", reports)
        if scratch is not None:
            scratch.clear()
        count = sum(parameter.numel() for parameter in self.network.parameters())
        loss = f", loss {sum(reports[-1].losses.values()):.4f}" if reports else ""
        click.echo(f"{self.name}: {count:,} parameters on {self.device}{loss}")

    def begin(self) -> None:
        """Start from the checkpoint that the params name for this training, if they do."""
        folder = starts(self.params, PARAMS)[self.name]
        if folder is None:
            return
        checkpoint = load_checkpoint(start_folder(folder))
        new = start_from(self.network, checkpoint, folder, whole=self.block.epochs == 0)
        if self.ranks.leads:
            click.echo(f"{self.name}: starts from {folder}" + (f"; {', '.join(new)} from scratch" if new else ""))

    def with_bar(self, loaders: Mapping[str, Loader], scratch: Scratch | None) -> list[EpochReport]:
        """The training loop with its output, which is rank 0's; the reports of all epochs."""

        def evaluate(network: Network) -> dict[str, tuple[float, str]]:
            from stages.evaluation import headlines

            return headlines(network, self.params.seed, self.device, self.ranks)

        name, epochs = self.name, self.block.epochs
        with progress(0, name, silent=not self.ranks.leads) as bar:
            say = bar.write if self.ranks.leads else ignore

            def on_step(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)
                if scratch is not None and scratch.stop:
                    say(f"{name}: stopped after step {done}; what was trained is kept, run the same again to go on")
                    raise KeyboardInterrupt

            def on_epoch(report: EpochReport) -> None:
                values = report.losses | {f"val/{metric}": value for metric, value in report.scores.items()}
                terms = "  ".join(f"{term} {value:.4f}" for term, value in values.items())
                say(f"{name}: epoch {report.epoch + 1}/{epochs}  lr {report.lr:.1e}  {terms}")

            return train(
                self.network,
                loaders,
                self.block,
                device=self.device,
                on_step=on_step,
                on_epoch=on_epoch,
                on_resume=lambda step: say(f"{name}: goes on after step {step} of a run that was stopped"),
                evaluate=evaluate,
                scratch=scratch,
                precision=self.params.runtime.precision,
                ranks=self.ranks,
            )

    def scratch(self, loaders: Mapping[str, Loader]) -> Scratch | None:
        """Where the state of this very run is kept: same code, data, params, starting weights, device, threads and
        number of ranks.
        """
        runtime = self.params.runtime
        if not runtime.save_every:
            return None
        root = original(SCRATCH)
        digest = ""
        if self.ranks.leads:
            for old in prune(root):
                click.echo(f"{self.name}: removed {old}, which no run went on from")
            digest = run_digest(self.determining(loaders, root))
        return Scratch(root / self.ranks.of_first(digest), runtime.save_every)

    def determining(self, loaders: Mapping[str, Loader], root: Path) -> dict[str, Any]:
        """All that determines what a run computes; digests of large files are noted under `root`."""
        source = Path(egopack.__file__).parent
        return {
            "name": self.name,
            "params": self.block.model_dump(mode="json"),
            "spec": self.network.spec.model_dump(mode="json"),
            "weights": digest_tensors(self.network.state_dict()),
            "seed": self.params.seed,
            "runtime": self.params.runtime.model_dump(mode="json", exclude={"save_every", "device", "threads"}),
            "machine": [torch.__version__, str(self.device), torch.get_num_threads(), self.ranks.world],
            "code": digest_files([*source.rglob("*.py"), Path(egopack_native.__file__)]),
            "features": digest_files(SHARDS.glob("*.*"), root / FILES),
            "loaders": {
                task: [one.batch_size, one.levels, one.radius_s, one.seed, digest_files((SAMPLES / task).glob("*.h5"))]
                for task, one in loaders.items()
            },
        }


def ignore(line: str) -> None:
    """What ranks other than 0 say."""


@contextmanager
def stoppable(scratch: Scratch | None) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the step, whose state is then saved; a second one does not wait."""
    if scratch is None:
        yield
        return

    def ask(number: int, frame: object) -> None:
        if scratch.stop:
            raise KeyboardInterrupt
        scratch.stop = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
