"""Training with a progress bar and a state to go on from, for the three stages that train."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from egopack.params import OptimiserParams, Params, TrainParams
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


def run_one(
    network: Network,
    task: str,
    block: TrainParams,
    features: FeatureShards,
    params: Params,
    device: torch.device,
    ranks: Ranks,
    name: str,
) -> None:
    """`run` with one task alone."""
    loader = train_loader(
        task,
        network.head(task).params,
        samples_of(task, block),
        features,
        batch_size=block.batch_size,
        radius_s=network.spec.backbone.radius_s,
        seed=params.seed,
    )
    run(network, {task: loader}, block, params, device, ranks, name)


def run(
    network: Network,
    loaders: Mapping[str, Loader],
    block: OptimiserParams,
    params: Params,
    device: torch.device,
    ranks: Ranks,
    name: str,
) -> None:
    """Train and write data/models/<name> and metrics/curves/<name>.csv; one line an epoch and a bar over all steps.

    `block` is how this is trained. Rank 0 alone writes.
    """
    folder = starts(params, PARAMS)[name]
    if folder is not None:
        new = start_from(network, load_checkpoint(start_folder(folder)), folder, whole=block.epochs == 0)
        if ranks.leads:
            click.echo(f"{name}: starts from {folder}" + (f"; {', '.join(new)} from scratch" if new else ""))
    scratch = scratch_of(network, loaders, block, params, device, ranks, name)
    with stoppable(scratch if ranks.world == 1 else None):  # several would have to stop at the same step
        reports = with_bar(network, loaders, block, params, device, ranks, name, scratch)
    if not ranks.leads:
        return
    save_checkpoint(MODELS / name, network)
    write_curves(METRICS / "curves" / f"{name}.csv", reports)
    if scratch is not None:
        scratch.clear()
    count = sum(parameter.numel() for parameter in network.parameters())
    loss = f", loss {sum(reports[-1].losses.values()):.4f}" if reports else ""
    click.echo(f"{name}: {count:,} parameters on {device}{loss}")


def with_bar(
    network: Network,
    loaders: Mapping[str, Loader],
    block: OptimiserParams,
    params: Params,
    device: torch.device,
    ranks: Ranks,
    name: str,
    scratch: Scratch | None,
) -> list[EpochReport]:
    """The training loop with its output, which is rank 0's; the reports of all epochs."""

    def evaluate(network: Network) -> dict[str, tuple[float, str]]:
        from stages.evaluation import headlines

        return headlines(network, params.seed, device, ranks)

    with progress(0, name, silent=not ranks.leads) as bar:
        say = bar.write if ranks.leads else ignore

        def on_step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if scratch is not None and scratch.stop:
                bar.write(f"{name}: stopped after step {done}; what was trained is kept, run the same again to go on")
                raise KeyboardInterrupt

        def on_epoch(report: EpochReport) -> None:
            values = report.losses | {f"val/{metric}": value for metric, value in report.scores.items()}
            terms = "  ".join(f"{term} {value:.4f}" for term, value in values.items())
            say(f"{name}: epoch {report.epoch + 1}/{block.epochs}  lr {report.lr:.1e}  {terms}")

        return train(
            network,
            loaders,
            block,
            device=device,
            on_step=on_step,
            on_epoch=on_epoch,
            on_resume=lambda step: say(f"{name}: goes on after step {step} of a run that was stopped"),
            evaluate=evaluate,
            scratch=scratch,
            precision=params.runtime.precision,
            ranks=ranks,
        )


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


def scratch_of(
    network: Network,
    loaders: Mapping[str, Loader],
    block: OptimiserParams,
    params: Params,
    device: torch.device,
    ranks: Ranks,
    name: str,
) -> Scratch | None:
    """Where the state of this very run is kept: same code, data, params, starting weights, device, threads and number
    of ranks.
    """
    if not params.runtime.save_every:
        return None
    root = original(SCRATCH)
    digest = ""
    if ranks.leads:
        for old in prune(root):
            click.echo(f"{name}: removed {old}, which no run went on from")
        digest = run_digest(determining(network, loaders, block, params, device, ranks, name, root))
    return Scratch(root / ranks.of_first(digest), params.runtime.save_every)


def determining(
    network: Network,
    loaders: Mapping[str, Loader],
    block: OptimiserParams,
    params: Params,
    device: torch.device,
    ranks: Ranks,
    name: str,
    root: Path,
) -> dict[str, Any]:
    """All that determines what a run computes; digests of large files are noted under `root`."""
    source = Path(egopack.__file__).parent
    return {
        "name": name,
        "params": block.model_dump(mode="json"),
        "spec": network.spec.model_dump(mode="json"),
        "weights": digest_tensors(network.state_dict()),
        "seed": params.seed,
        "runtime": params.runtime.model_dump(mode="json", exclude={"save_every", "device", "threads"}),
        "machine": [torch.__version__, str(device), torch.get_num_threads(), ranks.world],
        "code": digest_files([*source.rglob("*.py"), Path(egopack_native.__file__)]),
        "features": digest_files(SHARDS.glob("*.*"), root / FILES),
        "loaders": {
            task: [one.batch_size, one.levels, one.radius_s, one.seed, digest_files((SAMPLES / task).glob("*.h5"))]
            for task, one in loaders.items()
        },
    }
