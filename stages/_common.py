"""What every stage shares: where things are, how errors end."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egopack.commands.base import Command
from stages._dvc import end_with_dvc

if TYPE_CHECKING:
    import torch

    from egopack.model.network import Network
    from egopack.params import OptimizerParams, Params, TrainParams
    from egopack.report.results import Folders
    from egopack.runtime.ranks import Ranks
    from egopack.training.run import Training

PARAMS = Path("params.yaml")
PLAN = Path("params.study.yaml")
BUILT_IN = Path("data/raw/synthetic")
MANIFEST = Path("data/manifest")
CODE = Path("data/code")
SHARDS = Path("data/shards")
VIDEOS = Path("data/videos.csv")
SPLIT = Path("data/split.csv")
SAMPLES = Path("data/samples")
PACKS = Path("data/packs")
MODELS = Path("data/models")
RELEASE = Path("data/release")
PROTOTYPES = Path("data/prototypes")
PREDICTIONS = Path("data/predictions")
SUBMISSIONS = Path("data/submissions")
METRICS = Path("metrics")
TABLE = Path("data/comparison.md")
CONSULTED = Path("data/consulted")
ENSEMBLE = Path("data/ensemble")
KEPT = Path("data/kept")  # what git keeps of metrics/, once more where DVC does
REPORT = METRICS / "report.html"
PAGE = KEPT / REPORT.name
PLOTS = Path("data/plots")
DATED = Path("data/report.html")  # with what no two runs share
SCRATCH = Path("data/scratch")
BOARD = Path("data/tensorboard")  # of no stage: events hold times
JOBS = Path("data/jobs")
COSTS = Path("data/costs")
ROOT_VARIABLES = {"ego4d": "EGO4D_ROOT", "epic": "EPIC_ROOT"}  # by data.source
ANY_FOOTAGE = "FOOTAGE_ROOT"
COPIES = ".dvc/tmp/exps"  # of experiments, in the original checkout


def _keep(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    ctx.meta["quiet"] = value


QUIETLY = click.Option(
    ["--quiet"], is_flag=True, expose_value=False, callback=_keep, help="Say nothing but the line at the end."
)


class Stage(Command):
    """A command whose user errors, and those of disk and permissions, are one line on stderr and exit status 1. It ends
    with the DVC that started it.

    What it returns is the line that it ends with; with --quiet it says nothing else.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), QUIETLY]

    def invoke(self, ctx: click.Context) -> Any:
        from stages._costs import told

        end_with_dvc()
        return told(ctx, partial(super().invoke, ctx), ctx.meta["quiet"])


def load_all() -> Params:
    """params.yaml of the checkout that the command runs in, all of it; what it says of reproducibility holds from here
    on, so a command loads params before it imports what computes.
    """
    from egopack.params import load_params
    from egopack.runtime.reproducible import settle

    params = load_params(PARAMS)
    settle(params.runtime.reproducible)
    return params


def original(path: Path) -> Path:
    """Where a path is in the original checkout, of which an experiment runs in a copy.

    DVC makes these copies below .dvc/tmp/exps of the original, which DVC_ROOT names. That of an outer project, whose
    pipeline runs this one, DVC hands down as well, and it counts for nothing here: nor where the outer is a copy.
    """
    named, above = os.environ.get("DVC_ROOT"), Path.cwd().parents
    copies = Path(named, COPIES).resolve() if named else None
    if named is None or copies not in above or any((one / ".dvc").exists() for one in above[: above.index(copies)]):
        return path
    return Path(named, path)


def keep(*files: Path) -> None:
    """Copy files of metrics/ to data/kept, by the same names. What git keeps DVC does not push, and so gives a stage
    back on other machines only if the same bytes are among what it does keep.
    """
    from egopack.files import atomic_path

    for file in files:
        with atomic_path(KEPT / file.relative_to(METRICS)) as temporary:
            shutil.copyfile(file, temporary)


def report_folders() -> Folders:
    """Where the report finds what it shows."""
    from egopack.report.results import Folders

    return Folders(SAMPLES, PREDICTIONS, CONSULTED, PROTOTYPES, METRICS)


def raw_root(params: Params, given: Path | None = None) -> Path:
    """Where the raw data is: `given`, else $EGO4D_ROOT or that of the source, else `data.root`; a relative path that an
    experiment's copy lacks is looked for in the original.

    Raises:
        UserError: there is no such folder.
    """
    from egopack.ego4d.manifest import how_to_fetch
    from egopack.errors import UserError

    data = params.data
    variable = ROOT_VARIABLES.get(data.source, ANY_FOOTAGE)
    named = os.environ.get(variable)
    source = "--root" if given else f"${variable}" if named else f"{PARAMS}: data.root"
    root = Path(given or named or data.root).expanduser()
    for candidate in (root, original(root)):
        if candidate.is_dir():
            return candidate
    problem = f"{source}: {str(root)!r} is not a folder"
    if data.source != "ego4d":
        raise UserError(f"{problem}; name the one that holds the annotations and features/")
    raise UserError(
        f"{problem}; mount Ego4D there, or name another folder; to have the files, "
        + how_to_fetch(root, data.version, data.features)
    )


def start_folder(named: str) -> Path:
    """The folder of a checkpoint that `extras.start_from` names; like `raw_root`, perhaps in the original checkout.

    Raises:
        UserError: there is none, or a stage writes it, which DVC would not know to run before.
    """
    from egopack.errors import UserError

    key = f"{PARAMS}: extras.start_from: {named!r}"
    for folder in (Path(named).expanduser(), original(Path(named))):
        if folder.is_dir():
            if any(
                folder.resolve().is_relative_to(models.resolve())
                for models in (MODELS, original(MODELS), RELEASE, original(RELEASE))
            ):
                raise UserError(f"{key} is what a stage writes, and may change; copy it, to data/imported for example")
            return folder
    raise UserError(f"{key} is not a folder; name one with a model.safetensors")


def initial_folder(params: OptimizerParams, name: str = "") -> Path | None:
    """The folder of the checkpoint that a training starts from, if its params name one; `name` is its pack's."""
    from egopack.model.initial_weights import named_folder

    named = named_folder(params, name)
    return None if named is None else start_folder(named)


def training_of(
    name: str,
    network: Network,
    how: OptimizerParams,
    params: Params,
    device: torch.device,
    ranks: Ranks,
    pack: str = "",
) -> Training:
    """The training of a network as params say; states to resume from lie in the original checkout."""
    from egopack.data.splits import read_labels
    from egopack.model.config import about
    from egopack.training.run import Folders, Training

    folders = Folders(SHARDS, SAMPLES, MODELS, METRICS / "curves", original(SCRATCH), original(BOARD))
    initial = initial_folder(how, pack)
    known = about(name, params.data.features, {task: read_labels(SAMPLES / task) for task in network.spec.tasks})
    return Training(name, network, how, params.runtime, params.seed, device, ranks, folders, initial, known)


def ended(training: Training, said: str | None) -> str | None:
    """What a training said at its end, once rank 0 has its curves in data/kept."""
    if training.ranks.is_main:
        keep(training.curves)
    return said


def helper_of(params: Params, task: str) -> tuple[str, TrainParams]:
    """The pack that helps a task, and how it is trained with that; UserError where none does."""
    from egopack.errors import UserError

    how = params.tasks[task].egopack if task in params.helped_by else None
    if how is None:
        raise UserError(f"{PARAMS}: helped_by: names no pack for {task!r}, only for {', '.join(params.helped_by)}")
    return params.helped_by[task], how


def pack_members(params: Params, pack: str) -> list[str]:
    """The tasks of a pack; UserError for one that params.yaml does not have."""
    from egopack.errors import UserError

    if pack not in params.packs:
        raise UserError(f"{PARAMS}: packs: there is no {pack!r}, only {', '.join(params.packs)}")
    return params.packs[pack]
