"""params.study.yaml: which pipelines a study runs, and which of their numbers it compares."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from egopack.errors import UserError
from egopack.params.checks import Name, Seed, Spelled, Strict, check
from egopack.params.load import read_yaml

Settings = dict[str, Any]  # dotted keys of params.yaml, as of `dvc exp run -S`
Regime = Annotated[
    str, Spelled(r"(single|egopack)/\w+|multi/[\w-]+/\w+", "not single/TASK, egopack/TASK or multi/PACK/TASK")
]


class Variant(Strict):
    """One way to run the pipeline."""

    set: Settings = Field({}, description="settings of params.yaml")
    regimes: list[Regime] = Field([], description="what is trained and scored; empty: all that the question names")


class Difference(Strict):
    """Two numbers that are compared, seed by seed: VARIANT:REGIME each."""

    better: str = Field(description="the one that is expected to be better")
    than: str = Field(description="the one that it is compared with")


class Question(Strict):
    """What a study asks, by running variants of the pipeline on the same seeds."""

    about: str = Field(description="the question in words")
    seeds: Literal["tuning", "verdict"] = Field(description="on which seeds")
    set: Settings = Field({}, description="settings of all variants")
    grid: dict[str, list[Any]] = Field({}, description="settings of which every combination is a variant of its own")
    variants: dict[Name, Variant] = Field({}, description="variants by name")
    regimes: list[Regime] = Field([], description="what each variant trains and scores")
    differences: list[Difference] = Field([], description="what is compared")

    def all_variants(self) -> dict[str, Variant]:
        """The named ones, and those of the grid."""
        found = {name: self._filled(one) for name, one in self.variants.items()}
        for values in itertools.product(*self.grid.values()) if self.grid else ():
            chosen = dict(zip(self.grid, values, strict=True))
            name = " ".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in chosen.items())
            found[name] = self._filled(Variant(set=chosen))
        return found

    def _filled(self, variant: Variant) -> Variant:
        return Variant(set=self.set | variant.set, regimes=variant.regimes or self.regimes)

    @model_validator(mode="after")
    def _differences_exist(self) -> Question:
        known = {f"{name}:{regime}" for name, one in self.all_variants().items() for regime in one.regimes}
        for one in self.differences:
            for side in (one.better, one.than):
                if side not in known:
                    raise ValueError(f"differences: {side!r} is not one of {', '.join(sorted(known))}")
        return self


class StudySeeds(Strict):
    """Corpus and training have the same seed. Those of the verdict are not looked at while anything is tuned."""

    tuning: list[Seed] = Field(description="seeds to choose settings by")
    verdict: list[Seed] = Field(description="seeds to judge by, written down before the first of them runs")

    @model_validator(mode="after")
    def _apart(self) -> StudySeeds:
        both = sorted({*self.tuning} & {*self.verdict})
        if both:
            raise ValueError(f"seeds {both} are both for tuning and for the verdict")
        return self


class StudyParams(Strict):
    """The whole of params.study.yaml."""

    seeds: StudySeeds = Field(description="seeds by their use")
    set: Settings = Field({}, description="settings of all runs")
    questions: dict[Name, Question] = Field(description="questions by name")

    def runs(self, names: list[str]) -> Iterator[tuple[str, str, int, Variant]]:
        """Question, variant, seed and what to set, seed by seed, so that what one seed's runs share is made once.

        Raises:
            UserError: there is no such question.
        """
        unknown = [name for name in names if name not in self.questions]
        if unknown:
            raise UserError(f"there is no question {unknown[0]!r}, only {', '.join(self.questions)}")
        for seed in (*self.seeds.tuning, *self.seeds.verdict):
            for name in names or self.questions:
                question = self.questions[name]
                if seed in getattr(self.seeds, question.seeds):
                    for variant, one in question.all_variants().items():
                        chosen = self.set | one.set | {"seed": seed, "synthetic.seed": seed}
                        yield name, variant, seed, Variant(set=chosen, regimes=one.regimes)


def load_study(path: Path) -> StudyParams:
    """Read and check a study.

    Raises:
        UserError: the file is missing or is not YAML, or a key is unknown, missing or has a value that it cannot take.
    """
    return check(StudyParams, read_yaml(path), file=path)
