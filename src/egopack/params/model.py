"""The network: backbone, interaction, and the neck and head of a task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from egopack.params.checks import Count, Fraction, Positive, Strict


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
