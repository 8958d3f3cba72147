"""What every stage shares: where things are, how errors end, how a run is seeded."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import torch
    from tqdm import tqdm

    from egopack.params import Params, RuntimeParams

PARAMS = Path("params.yaml")
BUILT_IN = Path("data/raw/synthetic")
MANIFEST = Path("data/manifest")
SHARDS = Path("data/shards")
SAMPLES = Path("data/samples")
SETTINGS = Path("data/settings")
PACKS = Path("data/packs")
MODELS = Path("data/models")
PROTOTYPES = Path("data/prototypes")
PREDICTIONS = Path("data/predictions")
METRICS = Path("metrics")
SCRATCH = Path("data/scratch")
ROOT_VARIABLE = "EGO4D_ROOT"


class Stage(click.Command):
    """A command whose user errors, and those of disk and permissions, are one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        from egopack.errors import UserError

        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if error.errno == errno.EPIPE or not error.strerror:
                raise
            message = f"{error.filename or 'a file'}: {error.strerror}; check the room on its disk and its permissions"
            raise click.ClickException(message) from None


def load() -> Params:
    """params.yaml of the checkout that the stage runs in."""
    from egopack.params import load_params

    return load_params(PARAMS)


def original(path: Path) -> Path:
    """Where a path is in the original checkout, which an experiment runs in a copy of."""
    return Path(os.environ.get("DVC_ROOT", ".")) / path


def raw_root(params: Params, given: Path | None = None) -> Path:
    """Where Ego4D is: `given`, else $EGO4D_ROOT, else `data.root`; a relative path that an experiment's copy lacks is
    looked for in the original.

    Raises:
        UserError: there is no such folder.
    """
    from egopack.ego4d.manifest import how_to_fetch
    from egopack.errors import UserError

    named = os.environ.get(ROOT_VARIABLE)
    source = "--root" if given else f"${ROOT_VARIABLE}" if named else f"{PARAMS}: data.root"
    root = Path(given or named or params.data.root).expanduser()
    for candidate in (root, original(root)):
        if candidate.is_dir():
            return candidate
    raise UserError(
        f"{source}: {str(root)!r} is not a folder; mount Ego4D there, or name another folder; to have the files, "
        + how_to_fetch(root, params.data.version, params.data.features)
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
            if any(folder.resolve().is_relative_to(models.resolve()) for models in (MODELS, original(MODELS))):
                raise UserError(f"{key} is what a stage writes, and may change; copy it, to data/imported for example")
            return folder
    raise UserError(f"{key} is not a folder; name one with a model.safetensors")


def start(runtime: RuntimeParams, seed: int) -> torch.device:
    """Seed torch, ask it for the same result every time, and pick the device; each rank of a machine has a GPU of its
    own.

    Raises:
        UserError: the device is not there, or is one for several ranks.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    from egopack.errors import UserError
    from egopack.training.memory import keep_freed_memory

    keep_freed_memory()
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    torch.manual_seed(seed)
    name = runtime.device if runtime.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    if several and name.startswith("cuda:"):
        raise UserError(
            f"{PARAMS}: runtime.device: {name!r} is one GPU, but the launcher starts several ranks; name cuda"
        )
    if several and name == "cuda":
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"{PARAMS}: runtime.device: {name!r} is not there; torch sees {torch.cuda.device_count()} CUDA devices"
        )
    if several and device.type == "cuda":
        torch.cuda.set_device(device)
    # use_deterministic_algorithms would import the compiler too, which takes as long as all the rest of torch
    torch.set_deterministic_debug_mode("warn" if device.type == "cuda" else "error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # no memory is read before it is written
    return device


@contextmanager
def progress(total: int, what: str, unit: str = "step", *, silent: bool = False) -> Iterator[tqdm[Any]]:
    """A progress bar, silent where nobody watches."""
    from tqdm import tqdm

    tqdm.set_lock(RLock())  # its own would be shared by processes, and start one that watches over it
    with tqdm(total=total, desc=what, unit=unit, disable=silent or None, leave=False, dynamic_ncols=True) as bar:
        yield bar
