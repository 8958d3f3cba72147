"""The knobs of params.yaml: frozen, checked at the door, misspelt keys refused. The only reader of YAML."""

from __future__ import annotations

from egopack.params.checks import (
    Count,
    CountOrZero,
    Depth,
    Fraction,
    Levels,
    Name,
    NonNegative,
    Positive,
    Seconds,
    Seed,
    Strict,
    Width,
    check,
)
from egopack.params.data import BudgetParams, DataParams, FeatureSet, SplitParams, SyntheticParams, Tolerable
from egopack.params.load import Params, load_params
from egopack.params.model import (
    BackboneParams,
    ConvParams,
    FusedModelParams,
    InteractionParams,
    ModelParams,
    PrototypesParams,
)
from egopack.params.tasks import AnyBlock, ComparisonParams, NoParams, SubmissionParams, TaskBlock, TaskParams
from egopack.params.training import ExtrasParams, MultiParams, OptimizerParams, RuntimeParams, TrainParams

__all__ = [
    "AnyBlock",
    "BackboneParams",
    "BudgetParams",
    "ComparisonParams",
    "ConvParams",
    "Count",
    "CountOrZero",
    "DataParams",
    "Depth",
    "ExtrasParams",
    "FeatureSet",
    "Fraction",
    "FusedModelParams",
    "InteractionParams",
    "Levels",
    "ModelParams",
    "MultiParams",
    "Name",
    "NoParams",
    "NonNegative",
    "OptimizerParams",
    "Params",
    "Positive",
    "PrototypesParams",
    "RuntimeParams",
    "Seconds",
    "Seed",
    "SplitParams",
    "Strict",
    "SubmissionParams",
    "SyntheticParams",
    "TaskBlock",
    "TaskParams",
    "Tolerable",
    "TrainParams",
    "Width",
    "check",
    "load_params",
]
