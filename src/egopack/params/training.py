"""How networks are trained, and what the computation runs on."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from egopack.params.checks import Count, Fraction, Positive, Strict


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
