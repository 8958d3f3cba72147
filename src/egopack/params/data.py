"""Where features come from: the raw data, or the built-in corpus."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from egopack.params.checks import Count, CountOrZero, FolderName, Fraction, NonNegative, Seed, Strict, Width

ARRAY = "feats"  # usual name of features in a .npz


class FeatureSet(Strict):
    """One folder of features of a backbone."""

    stride: Count = Field(16, description="row i starts at frame stride * i, in frames")
    window: Count = Field(16, description="how much of the video a row covers, in frames")
    fps: Annotated[float, Field(ge=1e-3, le=1e5)] = Field(
        30.0, description="rate at which the frames were taken, in frames per second"
    )
    array: str = Field(ARRAY, description="name of the array in a .npz; other files hold one")
    size: Width = Field(description="numbers in a row")


Tolerable = Literal["rows", "rate", "seconds", "ends", "splits", "names"]


class SplitParams(Strict):
    """How videos are split, where the source does not say."""

    seed: Seed = Field(0, description="draws which groups of videos validate")
    val: Fraction = Field(0.2, description="share of the videos that validate")


class DataParams(Strict):
    """Where the raw data is and how it is stored."""

    source: Literal["ego4d", "table", "activitynet", "epic"] = Field(
        "ego4d", description="form of the annotations: Ego4D's, a table of segments, ActivityNet's, EPIC-KITCHENS-100's"
    )
    root: str = Field(
        description="folder that holds the annotations and features/; $EGO4D_ROOT overrides it, $EPIC_ROOT of epic, "
        "$FOOTAGE_ROOT of table and activitynet"
    )
    file: str = Field(
        "",
        description="of table and activitynet: name of the file of segments in the root; empty takes the one there is",
    )
    split: SplitParams = Field(SplitParams(), description="split of the videos, where a table has none")
    version: Literal["v1", "v2"] = Field("v1", description="version of Ego4D's annotations")
    features: dict[FolderName, FeatureSet] = Field(
        min_length=1,
        description="feature sets by the names of their folders; several are concatenated on the grid of the first",
    )
    storage: Literal["float16", "float32"] = Field("float32", description="type of the numbers in the shards")
    shard_mb: Count = Field(512, description="size at which a new shard begins, in MiB")
    tolerate: list[Tolerable] = Field(
        [],
        description="in what the files may contradict themselves as a whole: rows (feature rows and durations), rate "
        "(frames per second), seconds (seconds and frames), ends (of annotations and of their videos), splits, names "
        "(of classes and their ids)",
    )


class BudgetParams(Strict):
    """A task's budget of labels: which videos of the training split it has them on."""

    videos: CountOrZero = Field(
        0, description="the first so many, in an order that is the same for all tasks; 0 is all that are left"
    )
    skip: CountOrZero = Field(
        0, description="videos at the beginning of that order without labels: what others have, for disjoint tasks"
    )
    seed: Seed = Field(0, description="draws the order")
    sites: tuple[str, ...] = Field(
        (),
        description="sites whose videos alone the task trains on and is validated on: video_source in ego4d.json; "
        "empty is all of them",
    )


class SyntheticParams(Strict):
    """Size and difficulty of the built-in corpus (src/egopack/synthetic/world.py)."""

    seed: Seed = Field(0, description="draws the videos: another seed is other footage of the same world")
    world: Seed = Field(0, description="draws what the videos have in common: what follows what, how features look")
    sites: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="sites that the videos are from, dealt in turn; more than one stand in ego4d.json"
    )
    sharing: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="how much of its world a site has in common with the first: 1 is all, 0 nothing"
    )
    tail: Annotated[float, Field(ge=0, le=4)] = Field(
        0.0,
        description="how much more unequal verbs, and the nouns of a verb, are in number; 1 is as in EPIC-KITCHENS-100",
    )
    train_videos: Count = Field(60, description="videos of the train split")
    val_videos: Count = Field(72, description="videos of the val split")
    test_videos: CountOrZero = Field(6, description="videos of the test split, which has no labels")
    mean_minutes: Annotated[float, Field(ge=0.25, le=1e4)] = Field(
        4.5, description="mean length of a video, in minutes"
    )
    feature_set: FolderName = Field("egovlp", description="name of the feature set that is written")
    feature_size: Width = Field(64, description="numbers in a feature row")
    verbs: Annotated[int, Field(ge=4, le=10_000)] = Field(20, description="verbs in the taxonomy")
    nouns: Annotated[int, Field(ge=4, le=10_000)] = Field(30, description="nouns in the taxonomy")
    moments: Annotated[int, Field(ge=2, le=10_000)] = Field(20, description="classes of moments")
    actions_per_minute: Annotated[float, Field(gt=0, le=1e3)] = Field(
        7.0, description="mean number of actions in a minute"
    )
    min_actions: Width = Field(25, description="the fewest actions in a clip of LTA")
    windows_per_clip: Width = Field(14, description="OSCC windows in a clip")
    two_clips: Fraction = Field(0.1, description="share of videos that are longer and have two clips")
    noise: NonNegative = Field(0.9, description="standard deviation of the noise that is new in every row")
    drift: NonNegative = Field(0.7, description="strength of the noise that changes slowly over a video")
    quirk_rate: Fraction = Field(0.04, description="share of items with an oddity of the real files")
    missing_features: CountOrZero = Field(2, description="videos without a feature file")
    truncated_features: CountOrZero = Field(1, description="videos whose feature file is cut short")
    nan_features: CountOrZero = Field(1, description="videos with rows of NaN")
