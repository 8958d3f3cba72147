"""How networks are trained, and what the computation runs on."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from egopack.params.checks import Count, CountOrZero, Fraction, Levels, NonNegative, Positive, Spelled, Strict


class ExtrasParams(Strict):
    """What training can do beyond the method; all off."""

    ema_decay: Fraction = Field(
        0.0, description="decay per step of a moving average of the weights, which becomes the result; 0 keeps none"
    )
    accumulate: Count = Field(1, description="batches of every task in one update, whose gradients are averaged")
    evaluate_every: CountOrZero = Field(
        0, description="epochs between evaluations on the val split, the best of which gives the weights; 0 is never"
    )
    patience: CountOrZero = Field(
        0, description="evaluations without a better one after which training stops; 0 never stops"
    )
    start_from: str | None = Field(
        None,
        description="folder of a checkpoint whose weights are the initial ones; in multi, {pack} is the pack's name",
    )
    freeze: tuple[Literal["backbone", "necks"], ...] = Field(
        (), description="parts that do not train; in EgoPack, necks are those of the support tasks"
    )
    without: tuple[Literal["backbone", "streams", "interaction", "prototypes"], ...] = Field(
        (),
        description="what of its pack a task does without, in EgoPack, to see what it is worth: the backbone's "
        "weights, the streams, the interaction, or prototypes that mean something (each of their columns is permuted)",
    )
    train_on_val: bool = Field(
        False, description="whether to train on the val split as well, for a submission to the challenge"
    )

    @model_validator(mode="after")
    def _fits(self) -> ExtrasParams:
        if self.patience and not self.evaluate_every:
            raise ValueError(f"patience {self.patience} counts evaluations, so evaluate_every cannot be 0")
        if self.train_on_val and self.evaluate_every:
            raise ValueError("train_on_val leaves no split to evaluate on, so evaluate_every must be 0")
        return self


class OptimizerParams(Strict):
    """Adam and the learning rate as a function of the step (section 5 of the method)."""

    epochs: CountOrZero = Field(description="epochs; 0, only with extras.start_from, keeps its weights as they are")
    epoch_steps: CountOrZero = Field(
        0,
        description="updates in an epoch, however many samples there are; 0 is one pass over the task that has "
        "most batches",
    )
    warmup_epochs: CountOrZero = Field(description="epochs in which the learning rate rises; at most `epochs`")
    lr: Positive = Field(description="learning rate at the end of the warmup, the highest")
    lr_min: NonNegative = Field(1e-8, description="learning rate at the end, to which a cosine leads from the highest")
    weight_decay: NonNegative = Field(0.0, description="weight decay")
    grad_clip_norm: Positive = Field(1.0, description="norm to which longer gradients are shortened")
    extras: ExtrasParams = Field(ExtrasParams(), description="what training can do beyond the method")

    @model_validator(mode="after")
    def _warmup_fits(self) -> OptimizerParams:
        if not self.epochs and self.extras.start_from is None:
            raise ValueError("epochs 0 trains nothing; only with extras.start_from is there something to keep")
        if self.warmup_epochs > self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} exceeds epochs {self.epochs}")
        return self


AnyOptimizer = TypeVar("AnyOptimizer", bound=OptimizerParams)


def without_pack(params: AnyOptimizer) -> AnyOptimizer:
    """The params of a training that no pack helps.

    Raises:
        ValueError: it is to leave out parts of one.
    """
    if params.extras.without:
        raise ValueError("extras.without leaves out parts of the pack that helps a task; here none does")
    return params


class TrainParams(OptimizerParams):
    """One task's training, alone or helped by a pack."""

    batch_size: Count = Field(description="samples in a batch")


class MultiParams(OptimizerParams):
    """Multi-task training of a pack."""

    @model_validator(mode="after")
    def _no_pack_yet(self) -> MultiParams:
        return without_pack(self)

    levels: Levels = Field(description="levels of the backbone")
    base_batch: Count = Field(
        description="samples in the batch of the shortest task; that of another is base_batch * (its length // the "
        "shortest length)"
    )


class RuntimeParams(Strict):
    """What the computation runs on; no number of the method is here."""

    reproducible: Literal["anywhere", "here"] = Field(
        "here",
        description="where the same input gives the same bytes: anywhere is on every x86-64 processor with AVX2, which "
        "takes one thread in fp32 on the CPU, slower; here is on the same kind of machine with as many threads",
    )

    device: Annotated[str, Spelled("auto|cpu|cuda(:[0-9]+)?", "not one of auto, cpu, cuda, cuda:<index>")] = Field(
        "auto",
        description="what the network runs on: auto, cpu, cuda or cuda:<index>; auto takes a GPU if there is one "
        "and reproducible is here",
    )
    threads: Annotated[int, Field(ge=0, le=4096)] = Field(
        0,
        description="threads of each process; 0 leaves it to torch, which takes all cores, or to OMP_NUM_THREADS, "
        "which torchrun sets to 1 unless it is set",
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="bf16 trains under autocast, with positions, losses and evaluation in float32",
    )
    compile: bool = Field(
        False, description="whether torch compiles the blocks of the network that trains, at their first call"
    )
    save_every: CountOrZero = Field(
        50, description="steps after which the state of a training is saved, for it to resume from; 0 is never"
    )
    tensorboard: bool = Field(
        False, description="whether trainings write their curves to data/tensorboard as well, for TensorBoard to show"
    )

    @model_validator(mode="after")
    def _anywhere_can_be_kept(self) -> RuntimeParams:
        others = {"device": self.device, "threads": self.threads, "precision": self.precision, "compile": self.compile}
        allowed = {"device": ("auto", "cpu"), "threads": (0, 1), "precision": ("fp32",), "compile": (False,)}
        for name, value in others.items():
            if self.reproducible == "anywhere" and value not in allowed[name]:
                raise ValueError(
                    f"reproducible: anywhere takes one thread in fp32 on the CPU, not compiled; with {name}: {value} "
                    "set reproducible to here"
                )
        return self
