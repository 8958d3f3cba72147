"""The knobs of params.yaml: frozen, checked at the door, misspelt keys refused. The only reader of YAML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from egopack.errors import UserError

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Strict(BaseModel):
    """A block of params.yaml: immutable, every key must be known, and true is not 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("not a setting that is true or false")
        return value


class FeatureSet(Strict):
    """One directory of features: row i starts at frame stride * i and covers `window` frames; `size` numbers a row."""

    stride: Count = 16
    window: Count = 16
    fps: Positive = 30.0
    size: Count


class DataParams(Strict):
    """Where the raw data is and how it is stored; several feature sets are concatenated on the grid of the first."""

    root: str
    version: Literal["v1", "v2"] = "v1"
    features: dict[str, FeatureSet] = Field(min_length=1)
    storage: Literal["float16", "float32"] = "float32"
    shard_mb: Count = 512

    @field_validator("features")
    @classmethod
    def _folder_names(cls, value: dict[str, FeatureSet]) -> dict[str, FeatureSet]:
        for name in value:
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise ValueError(f"{name!r} is not the name of a folder of features: letters, digits and _.- only")
        return value


class SyntheticParams(Strict):
    """Size and difficulty of the built-in corpus; what each means is told in ego4d/world.py."""

    seed: Seed = 0
    world: Seed = 0
    train_videos: Count = 60
    val_videos: Count = 72
    test_videos: Annotated[int, Field(ge=0)] = 6
    mean_minutes: Positive = 4.5
    feature_set: str = "egovlp"
    feature_size: Count = 64
    verbs: Count = 20
    nouns: Count = 30
    moments: Count = 20
    actions_per_minute: Positive = 7.0
    min_actions: Count = 25
    windows_per_clip: Count = 14
    two_clips: Fraction = 0.1
    noise: Annotated[float, Field(ge=0)] = 0.9
    drift: Annotated[float, Field(ge=0)] = 0.7
    quirk_rate: Fraction = 0.04
    missing_features: Annotated[int, Field(ge=0)] = 2
    truncated_features: Annotated[int, Field(ge=0)] = 1
    nan_features: Annotated[int, Field(ge=0)] = 1


class ConvParams(Strict):
    """The convolution of the backbone; all but `name` are for tdgc."""

    name: Literal["tdgc", "gat", "gcn", "sage", "sage_position", "signed"] = "tdgc"
    gate_size: Count = 256
    aggr: Literal["mean", "sum"] = "mean"
    signed: bool = True
    gated: bool = True
    gate_activation: Literal["tanh", "sigmoid", "relu"] = "tanh"


class BackboneParams(Strict):
    """The shared network (section 3 of the method)."""

    hidden: Annotated[int, Field(ge=2, multiple_of=2)]
    radius_s: Positive = 2.0
    convs_per_level: Count = 2
    dropout: Fraction = 0.1
    projection: Literal["linear", "mlp"] = "linear"
    projection_dropout: Fraction = 0.0
    pool: Literal["mean", "max", "subsample"] = "mean"
    pre_norm: bool = False
    ffn: bool = False
    ffn_expansion: Positive = 4.0
    conv: ConvParams = ConvParams()


class ExtrasParams(Strict):
    """What training can do beyond the method; all off.

    `ema_decay`: keep an exponential moving average of the weights. `accumulate`: batches (of every task) in one update,
    whose gradients are averaged. `evaluate_every`: epochs between evaluations on the validation split, of which the
    best gives the final weights; `patience`: after how many without a better one training stops. `start_from`: folder
    of a checkpoint to start from, in `multi` with {pack} for the pack's name. `freeze`: parts that do not train; in
    EgoPack `necks` are those of the support tasks.
    `train_on_val`: train on the validation split as well, for a submission.
    """

    ema_decay: Fraction = 0.0
    accumulate: Count = 1
    evaluate_every: Annotated[int, Field(ge=0)] = 0
    patience: Annotated[int, Field(ge=0)] = 0
    start_from: str | None = None
    freeze: tuple[Literal["backbone", "necks"], ...] = ()
    train_on_val: bool = False

    @model_validator(mode="after")
    def _fits(self) -> ExtrasParams:
        if self.patience and not self.evaluate_every:
            raise ValueError(f"patience {self.patience} counts evaluations, so evaluate_every cannot be 0")
        if self.train_on_val and self.evaluate_every:
            raise ValueError("train_on_val leaves no split to evaluate on, so evaluate_every must be 0")
        return self

    def evaluates_after(self, done: int, epochs: int) -> bool:
        """Whether to evaluate when `done` of `epochs` epochs are done: every so often, and at the end."""
        return self.evaluate_every > 0 and (done % self.evaluate_every == 0 or done == epochs)


class OptimizerParams(Strict):
    """Adam and the learning rate as a function of the step (section 5 of the method)."""

    epochs: Annotated[int, Field(ge=0)]
    warmup_epochs: Annotated[int, Field(ge=0)]
    lr: Positive
    lr_min: Annotated[float, Field(ge=0)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    grad_clip_norm: Positive = 1.0
    extras: ExtrasParams = ExtrasParams()

    @model_validator(mode="after")
    def _warmup_fits(self) -> OptimizerParams:
        if not self.epochs and self.extras.start_from is None:
            raise ValueError("epochs 0 trains nothing; only with extras.start_from is there something to keep")
        if self.warmup_epochs > self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} exceeds epochs {self.epochs}")
        return self


class TrainParams(OptimizerParams):
    """One task's training, alone or helped by a pack."""

    batch_size: Count


class MultiParams(OptimizerParams):
    """Multi-task training of a pack on a backbone of `levels`: a task's batch is base_batch * (its length // the
    shortest length).
    """

    levels: Count
    base_batch: Count


class InteractionParams(Strict):
    """How features consult prototypes (section 5 of the method)."""

    k: Count = 8
    distance: Literal["cosine", "l2"] = "cosine"
    conv: Literal["sage", "graph"] = "sage"
    hidden: Count = 256
    stages: Count = 1
    convs_per_stage: Count = 2
    dropout: Fraction = 0.0


class ModelParams(Strict):
    """A task's neck and head: feature width F, hidden width of classifiers, dropout."""

    features: Count
    classifier_hidden: Count = 512
    dropout: Fraction = 0.0


class FusedModelParams(ModelParams):
    """A task that a pack can help in two ways: in its features, or by the mean of several heads' logits."""

    fusion: Literal["features", "logits"] = "features"


class NoParams(Strict):
    """A block with nothing to set."""


class TaskParams(Strict):
    """What rebuilds a task's samples and network; a task narrows `samples` and `model` to its own.

    `annotations`: the source of its samples (fho_lta, fho_oscc-pnr, moments). `levels`: how many levels of the
    pyramid it reads.
    """

    annotations: str
    levels: Count
    samples: Any
    model: ModelParams


class RegimeParams(Strict):
    """How a task is trained alone and helped by the pack of that name."""

    pack: str
    train: TrainParams
    egopack: TrainParams


class ComparisonParams(Strict):
    """The pack whose multi-task training stands in the comparison."""

    multi_pack: str


class RuntimeParams(Strict):
    """What the computation runs on; no number of the method is here.

    `precision`: bf16 trains under autocast, with positions, losses and evaluation in float32. `compile`: torch compiles
    the blocks of the network that trains, at their first call. `save_every`: after how many steps the state of a
    training is saved, for a run that is stopped to go on from; 0 is never. `threads`: of each process; 0 leaves it to
    torch, which takes all cores, or to OMP_NUM_THREADS, which torchrun sets to 1 unless it is set.
    """

    device: str = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    save_every: Annotated[int, Field(ge=0)] = 50

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", value):
            raise ValueError("not one of auto, cpu, cuda, cuda:<index>")
        return value


class Params(Strict):
    """The whole of params.yaml. Blocks under `tasks` are checked by the task that they are named after.

    `launcher`: the command that starts the stages that train, python or torchrun with its options.
    """

    seed: Seed
    launcher: Annotated[str, Field(pattern=r"\S")] = "python"
    data: DataParams
    synthetic: SyntheticParams
    backbone: BackboneParams
    multi: MultiParams
    interaction: InteractionParams
    comparison: ComparisonParams
    packs: dict[str, list[str]]
    tasks: dict[str, dict[str, Any]]
    runtime: RuntimeParams = RuntimeParams()

    @model_validator(mode="after")
    def _packs_fit(self) -> Params:
        for pack, members in self.packs.items():
            for member in members:
                if member not in self.tasks:
                    raise ValueError(f"packs.{pack}: {member!r} is not one of the tasks {', '.join(self.tasks)}")
            if not members or len(set(members)) < len(members):
                raise ValueError(f"packs.{pack}: {members!r} must name each of its tasks once")
        for task, block in self.tasks.items():
            helper = block.get("pack")
            if helper is not None and (not isinstance(helper, str) or helper not in self.packs):
                raise ValueError(f"tasks.{task}.pack: {helper!r} is not one of the packs {', '.join(self.packs)}")
            if helper is not None and task in self.packs[helper]:
                raise ValueError(
                    f"tasks.{task}.pack: the pack {helper!r} contains {task!r} itself, so it is not novel to it"
                )
        if self.comparison.multi_pack not in self.packs:
            known = ", ".join(self.packs)
            raise ValueError(f"comparison.multi_pack: {self.comparison.multi_pack!r} is not one of the packs {known}")
        return self


Block = TypeVar("Block", bound=BaseModel)


def check(model: type[Block], value: Any, *, file: Path | str, key: str = "") -> Block:
    """`value` as `model`; a UserError names the file, the first wrong key and its value."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join([*([key] if key else []), *map(str, first["loc"])])
        if first["type"] == "extra_forbidden":
            raise UserError(f"{file}: {path}: unknown key; is it misspelt?") from None
        if first["type"] == "missing":
            raise UserError(f"{file}: {path}: this key is missing") from None
        message = first["msg"].removeprefix("Value error, ")
        got = "" if isinstance(first["input"], dict) else f" (got {first['input']!r})"
        raise UserError(f"{file}: {path + ': ' if path else ''}{message}{got}") from None


class _NoRepeats(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not a silent choice of the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key}: this key stands twice{node.start_mark}")
        return super().construct_mapping(node, deep=deep)


def load_params(path: Path | str) -> Params:
    """Read and check params.yaml.

    Raises:
        UserError: the file is missing or is not YAML, or a key is unknown, missing or has a value that it cannot take.
    """
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), _NoRepeats)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping of keys at the top level, got {type(value).__name__}")
    return check(Params, value, file=path)
