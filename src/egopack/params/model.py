"""The network: backbone, interaction, and the neck and head of a task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from egopack.params.checks import Depth, Fraction, Seconds, Strict, TaskName, Width


class ConvParams(Strict):
    """The convolution of the backbone."""

    name: Literal["tdgc", "gat", "gcn", "sage", "sage_position", "signed"] = Field(
        "tdgc", description="kind of convolution; all other settings of this block are for tdgc"
    )
    gate_size: Width = Field(256, description="hidden width of the gate, which weighs a neighbor by its distance")
    aggr: Literal["mean", "sum"] = Field("mean", description="how what neighbors send is put together")
    signed: bool = Field(True, description="whether neighbors in the past count with a minus")
    gated: bool = Field(True, description="whether the gate is there")
    gate_activation: Literal["tanh", "sigmoid", "relu"] = Field("tanh", description="what the gate ends with")


class BackboneParams(Strict):
    """The shared network (section 3 of the method)."""

    hidden: Annotated[int, Field(ge=2, le=16_384, multiple_of=2)] = Field(description="width H of nodes")
    radius_s: Seconds = Field(
        2.0,
        description="nodes at most this far apart exchange messages, in seconds; every further level doubles it",
    )
    convs_per_level: Depth = Field(2, description="convolutions on each level")
    dropout: Fraction = Field(0.1, description="dropout before the convolutions of a level")
    projection: Literal["linear", "mlp"] = Field(
        "linear", description="how feature rows come to the width H: by one linear map or by two"
    )
    projection_dropout: Fraction = Field(0.0, description="dropout between the two maps of an mlp")
    pool: Literal["mean", "max", "subsample"] = Field("mean", description="how two nodes become one of the next level")
    pre_norm: bool = Field(False, description="whether a level normalizes before its convolutions as well")
    ffn: bool = Field(False, description="whether a feed-forward network follows the convolutions of a level")
    ffn_expansion: Annotated[float, Field(gt=0, le=64)] = Field(
        4.0, description="hidden width of that network, in multiples of H"
    )
    conv: ConvParams = Field(ConvParams(), description="the convolution")


class InteractionParams(Strict):
    """How features consult prototypes (section 5 of the method)."""

    k: Annotated[int, Field(ge=0, le=16_384)] = Field(
        8, description="prototypes that a node consults, the nearest ones"
    )
    distance: Literal["cosine", "l2"] = Field("cosine", description="what nearest means")
    conv: Literal["sage", "graph"] = Field("sage", description="kind of convolution over nodes and prototypes")
    hidden: Width = Field(256, description="hidden width of these convolutions")
    rounds: Annotated[int, Field(ge=0, le=64)] = Field(
        1, description="rounds, each of which consults the original prototypes; with none streams are what necks make"
    )
    convs_per_round: Depth = Field(2, description="convolutions in a round")
    dropout: Fraction = Field(0.0, description="dropout at the beginning of a round")


class PrototypesParams(Strict):
    """What prototypes are made of (section 5 of the method)."""

    task: TaskName = Field(
        "ar", description="the task whose segments make the prototypes; each has a verb and a noun, as those of ar have"
    )


class ModelParams(Strict):
    """A task's neck and head."""

    features: Width = Field(description="width F of the task's features")
    classifier_hidden: Width = Field(512, description="hidden width of classifiers")
    dropout: Fraction = Field(0.0, description="dropout in neck and head")


class FusedModelParams(ModelParams):
    """A task that a pack can help in two ways."""

    fusion: Literal["features", "logits"] = Field(
        "features", description="where a pack helps: in the features, or by the mean of the logits of several heads"
    )
