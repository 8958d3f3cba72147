"""params.study.yaml: which pipelines a study runs, and which of their numbers it compares."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from egopack.errors import UserError
from egopack.params.checks import Name, Seed, Spelled, Strict, check
from egopack.params.load import read_yaml

Settings = dict[str, Any]  # dotted keys of params.yaml, as of `dvc exp run -S`
PLACE = r"[\w{}]+"
Regime = Annotated[
    str,
    Spelled(
        rf"(single|egopack|ensemble|averaged)/{PLACE}|multi/[\w{{}}-]+/{PLACE}",
        "not single/TASK, egopack/TASK, ensemble/TASK, averaged/TASK or multi/PACK/TASK",
    ),
]
Chosen = Mapping[tuple[str, str, str], Settings]  # question, variant, regime -> the best of its grid
Place = tuple[str, str, bool]  # question, variant, whether several tasks are trained together


class Variant(Strict):
    """One way to run the pipeline."""

    set: Settings = Field({}, description="settings of params.yaml")
    regimes: list[Regime] = Field([], description="what is trained and scored; empty: all that the question names")
    tuned: str = Field(
        "",
        description="QUESTION:VARIANT whose best settings its regimes take; empty: those of its own, if the question "
        "tunes",
    )


class Difference(Strict):
    """Two numbers that are compared, seed by seed: VARIANT:REGIME each."""

    better: str = Field(description="the one that is expected to be better")
    than: str = Field(description="the one that it is compared with")


class Drawn(Strict):
    """How a question's differences are drawn."""

    kind: Literal["lines", "matrix"] = Field(description="lines over x, or a table of colors")
    x: Name = Field(description="key of each")
    y: Name | None = Field(None, description="key of each; of a matrix")


@dataclass(frozen=True)
class Asked:
    """A variant, filled in: what to set, what to run, the values of `each` that it is of, whose tuning it takes, and
    of what is set the part that was chosen by tuning.
    """

    set: Settings
    regimes: list[str]
    at: Settings = field(default_factory=dict)
    tuned: tuple[str, str] | None = None
    chosen: Settings = field(default_factory=dict)

    def chosen_for(self, regime: str) -> str:
        """What was chosen for a regime, as it stands in the file of runs."""
        blocks = tuple(f"{block_of(part)}." for part in trained(regime))
        return " ".join(f"{key}={value}" for key, value in self.chosen.items() if key.startswith(blocks))


class Run(NamedTuple):
    """One run of the pipeline; `point` is where in the grid it is tried, empty for one that answers a question."""

    question: str
    variant: str
    seed: int
    how: Asked
    point: str = ""


class Question(Strict):
    """What a study asks, by running variants of the pipeline on the same seeds.

    {key} in settings, regimes and differences stands for each value of the key of `each`, in every combination.
    """

    about: str = Field(description="the question in words")
    seeds: Literal["tuning", "verdict"] = Field(description="on which seeds")
    each: dict[Name, list[Any]] = Field({}, description="values for which the question is asked one by one")
    differ: list[Name] = Field([], description="keys of each whose values may not be the same")
    set: Settings = Field({}, description="settings of all variants")
    tune: dict[Name, Annotated[list[Any], Field(min_length=3)]] = Field(
        {},
        description="fields of a training (lr) and the grid of values that each regime of each variant is given, on "
        "the tuning seeds; with the best it then runs on the question's own",
    )
    start: dict[Name, Annotated[list[Any], Field(min_length=2)]] = Field(
        {},
        description="values of tune where the search starts, which goes on beside the best until none beside it is "
        "better; empty: the whole grid is tried",
    )
    tune_at: dict[Name, dict[Any, Any]] = Field(
        {},
        description="key of each -> value -> the value at which it is tuned in its place; empty: each is tuned itself",
    )
    grid: dict[str, list[Any]] = Field({}, description="settings of which every combination is a variant of its own")
    variants: dict[Name, Variant] = Field({}, description="variants by name")
    regimes: list[Regime] = Field([], description="what each variant trains and scores")
    differences: list[Difference] = Field([], description="what is compared")
    figure: Drawn | None = Field(None, description="how the differences are drawn")

    def places(self) -> list[Settings]:
        """Every combination of the values of `each`; one empty one where there are none."""
        found = [dict(zip(self.each, values, strict=True)) for values in itertools.product(*self.each.values())]
        return [at for at in found if len({at[key] for key in self.differ}) == len(self.differ)]

    def all_variants(self) -> dict[str, Asked]:
        """The named ones, at every place, and those of the grid."""
        found = {
            named(name, at): self._filled(name, one, at) for at in self.places() for name, one in self.variants.items()
        }
        for values in itertools.product(*self.grid.values()) if self.grid else ():
            chosen = dict(zip(self.grid, values, strict=True))
            name = " ".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in chosen.items())
            found[name] = self._filled(name, Variant(set=chosen), {})
        return found

    def tuned_variants(self) -> dict[str, Asked]:
        """Those of all variants that are tuned themselves."""
        return {name: one for name, one in self.all_variants().items() if one.tuned == ("", name)}

    def all_differences(self) -> Iterator[tuple[str, str, Settings]]:
        """Both sides of every difference, VARIANT:REGIME, at every place."""
        for at, one in itertools.product(self.places(), self.differences):
            sides = [side.partition(":") for side in (one.better, one.than)]
            better, than = (f"{named(name, at)}:{filled(regime, at)}" for name, _, regime in sides)
            yield better, than, at

    def points(self) -> dict[str, Settings]:
        """The grid that is tuned over: fields of a training, by the name of the point."""
        combined = [dict(zip(self.tune, values, strict=True)) for values in itertools.product(*self.tune.values())]
        return {" ".join(f"{key}={value}" for key, value in one.items()): one for one in combined} if self.tune else {}

    def first_points(self) -> list[str]:
        """The names of the points that are tried whatever the runs say."""
        return [
            point
            for point, fields in self.points().items()
            if all(fields[key] in values for key, values in self.start.items())
        ]

    def _filled(self, name: str, variant: Variant, at: Settings) -> Asked:
        regimes = [filled(one, at) for one in variant.regimes or self.regimes]
        question, _, other = filled(variant.tuned, at).partition(":")
        tuned = (question, other) if other else ("", named(name, self._tuned_at(at))) if self.tune else None
        return Asked(filled(self.set | variant.set, at), regimes, at, tuned)

    def _tuned_at(self, at: Settings) -> Settings:
        """The place whose settings those at a place are."""
        return {key: self.tune_at.get(key, {}).get(value, value) for key, value in at.items()}

    @model_validator(mode="after")
    def _places_of_tuning_exist(self) -> Question:
        for key, values in self.tune_at.items():
            for value in [*values, *values.values()]:
                if value not in self.each.get(key, []):
                    raise ValueError(f"tune_at.{key}: {value!r} is not in each.{key}")
        return self

    @model_validator(mode="after")
    def _keys_exist(self) -> Question:
        drawn = [self.figure.x, self.figure.y] if self.figure else []
        for key in [*self.differ, *(one for one in drawn if one)]:
            if key not in self.each:
                raise ValueError(f"{key!r} is not one of the keys of each: {', '.join(self.each) or '(none)'}")
        return self

    @model_validator(mode="after")
    def _start_is_in_the_grid(self) -> Question:
        for key, values in self.start.items():
            for value in values:
                if value not in self.tune.get(key, []):
                    raise ValueError(f"start.{key}: {value!r} is not in tune.{key}")
        return self

    @model_validator(mode="after")
    def _differences_exist(self) -> Question:
        known = {f"{name}:{regime}" for name, one in self.all_variants().items() for regime in one.regimes}
        for better, than, _ in self.all_differences():
            for side in (better, than):
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

    @model_validator(mode="after")
    def _tuning_exists(self) -> StudyParams:
        for name, question in self.questions.items():
            for variant, one in question.all_variants().items():
                other, of = one.tuned or ("", "")
                asked = self.questions.get(other)
                if other and (asked is None or of not in asked.tuned_variants()):
                    raise ValueError(f"questions.{name}: {variant}: tuned: no question {other!r} tunes a {of!r}")
        return self

    def named(self, names: list[str]) -> list[str]:
        """The questions of these names; all, where none is named.

        Raises:
            UserError: there is no such question.
        """
        unknown = [name for name in names if name not in self.questions]
        if unknown:
            raise UserError(f"there is no question {unknown[0]!r}, only {', '.join(self.questions)}")
        return names or list(self.questions)

    def judged_on(self, seeds: list[int]) -> StudyParams:
        """The same study with these seeds for the verdict.

        Raises:
            UserError: something was tuned on one of them, or one is no seed.
        """
        both = {"tuning": self.seeds.tuning, "verdict": seeds}
        return self.model_copy(update={"seeds": check(StudySeeds, both, file="--seed")})

    def tuning_runs(self, names: list[str], wanted: Mapping[Place, list[str]] | None = None) -> Iterator[Run]:
        """The runs of the grids of these questions, and of those whose tuning they take: variant by variant, first
        those that train no pack for all its tasks, which take longest. Of a question that searches its grid only the
        points that are `wanted`.
        """
        for several, name in itertools.product((False, True), self._tuning(self.named(names))):
            question = self.questions[name]
            for variant, one in question.tuned_variants().items():
                regimes = tuned_regimes(one, several)
                points = (wanted or {}).get((name, variant, several), question.first_points())
                for seed, point in itertools.product(self.seeds.tuning, points):
                    if regimes:
                        fields = question.points()[point]
                        values = {key: value for regime in regimes for key, value in fields_of(regime, fields).items()}
                        yield Run(name, variant, seed, self._at(seed, one, regimes, values), point)

    def _tuning(self, names: list[str]) -> list[str]:
        """The questions whose tuning these need."""
        owners = {
            one.tuned[0] or name for name in names for one in self.questions[name].all_variants().values() if one.tuned
        }
        return [name for name, question in self.questions.items() if name in owners and question.tune]

    def runs(self, names: list[str], chosen: Chosen | None = None) -> Iterator[Run]:
        """The runs that answer questions, seed by seed, so that what one seed's runs share is made once; without those
        that need what is not chosen yet.
        """
        asked = self.named(names)
        for seed in (*self.seeds.tuning, *self.seeds.verdict):
            for name in asked:
                question = self.questions[name]
                if seed in getattr(self.seeds, question.seeds):
                    for variant, one in question.all_variants().items():
                        for regimes, values in self._judged(name, one, chosen or {}):
                            yield Run(name, variant, seed, self._at(seed, one, regimes, values))

    def waiting(self, names: list[str], chosen: Chosen) -> list[tuple[str, str, str]]:
        """Question, variant and regime of all that cannot be judged before they are tuned."""
        return [place for place, owners in self.owners(names).items() if any(one not in chosen for one in owners)]

    def owners(self, names: list[str]) -> dict[tuple[str, str, str], list[tuple[str, str, str]]]:
        """Of the question, variant and regime of all that is judged after a tuning those that are tuned for it."""
        return {
            (name, variant, regime): [(one.tuned[0] or name, one.tuned[1], part) for part in trained(regime)]
            for name in self.named(names)
            for variant, one in self.questions[name].all_variants().items()
            for regime in one.regimes
            if one.tuned
        }

    def _judged(self, name: str, one: Asked, chosen: Chosen) -> Iterator[tuple[list[str], Settings]]:
        """The regimes of a variant that run together, and what was chosen for them. The pack of a task and multi-task
        training are set by the same block, so that what is chosen for one would change the other.
        """
        if one.tuned is None:
            yield one.regimes, {}
            return
        for several in (False, True):
            together = [regime for regime in one.regimes if is_multi(regime) == several]
            keys = {part: (one.tuned[0] or name, one.tuned[1], part) for regime in together for part in trained(regime)}
            ready = [regime for regime in together if all(keys[part] in chosen for part in trained(regime))]
            values = [fields_of(part, chosen[keys[part]]) for regime in ready for part in trained(regime)]
            if ready:
                yield ready, {key: value for each in values for key, value in each.items()}

    def _at(self, seed: int, one: Asked, regimes: list[str], values: Settings) -> Asked:
        settings = self.set | one.set | values | {"seed": seed, "synthetic.seed": seed}
        return Asked(settings, regimes, one.at, chosen=values)


def named(name: str, at: Settings) -> str:
    """The name of a variant at a place."""
    return " ".join([name, *(f"{key}={value}" for key, value in at.items())])


def filled(value: Any, at: Settings) -> Any:
    """A value in which {key} stands for what is `at` a place; text that is nothing else becomes the value itself."""
    if isinstance(value, dict):
        return {filled(key, at): filled(one, at) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, at) for one in value]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\{(\w+)\}", value)
    if whole and whole[1] in at:
        return at[whole[1]]
    return re.sub(r"\{(\w+)\}", lambda found: str(at.get(found[1], found[0])), value)


def is_multi(regime: str) -> bool:
    """Whether several tasks are trained together."""
    return regime.split("/")[0] == "multi"


def trained(regime: str) -> list[str]:
    """What is trained for a regime: itself, or the members of an ensemble."""
    kind, _, name = regime.partition("/")
    members = {"ensemble": [f"single/{name}", f"egopack/{name}"], "averaged": [f"single/{name}"]}
    return members.get(kind, [regime])


def tuned_regimes(one: Asked, several: bool) -> list[str]:
    """The regimes of a variant that are tuned, of those that train several tasks together or the others: all but
    ensembles, whose members are.
    """
    return [regime for regime in one.regimes if is_multi(regime) == several and trained(regime) == [regime]]


def block_of(regime: str) -> str:
    """The block of params.yaml that the training of a regime is set by."""
    kind, name = regime.split("/")[:2]
    return {"single": f"tasks.{name}.train", "egopack": f"tasks.{name}.egopack", "multi": "multi"}[kind]


def fields_of(regime: str, fields: Settings) -> Settings:
    """Settings of params.yaml that give the training of a regime these fields."""
    return {f"{block_of(regime)}.{key}": value for key, value in fields.items()}


def load_study(path: Path) -> StudyParams:
    """Read and check a study.

    Raises:
        UserError: the file is missing or is not YAML, or a key is unknown, missing or has a value that it cannot take.
    """
    return check(StudyParams, read_yaml(path), file=path)
