"""The whole of params.yaml and its only reader."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, model_validator

from egopack.errors import UserError
from egopack.params.checks import Name, Seed, Strict, TaskName, check
from egopack.params.data import BudgetParams, DataParams, SyntheticParams
from egopack.params.model import BackboneParams, InteractionParams, PrototypesParams
from egopack.params.tasks import AnyBlock, ComparisonParams, ReportParams, SubmissionParams
from egopack.params.training import MultiParams, RuntimeParams

MOST_BYTES, MOST_VALUES, MOST_DEPTH = 1 << 18, 100_000, 50  # of a params file; the longest there are have 15 kB
MERGE = "tag:yaml.org,2002:merge"  # of the key <<


class Params(Strict):
    """The whole of params.yaml. What is a task's own in its block is checked by that task."""

    seed: Seed = Field(description="from which all chance of training and evaluation follows")
    launcher: Annotated[str, Field(pattern=r"\S")] = Field(
        "python", description="command that starts the stages that train: python, or torchrun with its options"
    )
    data: DataParams = Field(description="the raw data")
    synthetic: SyntheticParams = Field(description="the built-in corpus")
    labelled: dict[TaskName, BudgetParams] = Field(
        {},
        description="budgets of labels by task, of whatever data; a task that is not named has all labels, as all have "
        "in validation",
    )
    backbone: BackboneParams = Field(description="the shared network")
    multi: MultiParams = Field(description="multi-task training")
    interaction: InteractionParams = Field(description="how features consult prototypes")
    prototypes: PrototypesParams = Field(PrototypesParams(), description="what prototypes are made of")
    comparison: ComparisonParams = Field(description="the comparison of the regimes")
    report: ReportParams = Field(ReportParams(), description="the report")
    submission: SubmissionParams = Field(
        SubmissionParams(), description="submissions to EPIC-KITCHENS-100's challenges"
    )
    packs: dict[Name, list[str]] = Field(description="packs by their names: support tasks that are trained together")
    helped_by: dict[TaskName, Name] = Field(
        description="the pack that helps a task in EgoPack, of which the task is no member; a task that is not named "
        "has no EgoPack training"
    )
    tasks: dict[TaskName, AnyBlock] = Field(description="tasks by their names, those of src/egopack/tasks/*.py")
    runtime: RuntimeParams = Field(RuntimeParams(), description="what the computation runs on")

    @model_validator(mode="before")
    @classmethod
    def _pack_has_moved(cls, value: Any) -> Any:
        blocks = value.get("tasks") if isinstance(value, dict) else None
        for task, block in blocks.items() if isinstance(blocks, dict) else ():
            if isinstance(block, dict) and "pack" in block:
                raise ValueError(
                    f"tasks.{task}.pack: this is helped_by.{task} now; write it there, and take it out here"
                )
        return value

    @model_validator(mode="after")
    def _packs_fit(self) -> Params:
        for pack, members in self.packs.items():
            for member in members:
                if member not in self.tasks:
                    raise ValueError(f"packs.{pack}: {member!r} is not one of the tasks {', '.join(self.tasks)}")
            if not members or len(set(members)) < len(members):
                raise ValueError(f"packs.{pack}: {members!r} must name each of its tasks once")
        for task in self.labelled:
            if task not in self.tasks:
                raise ValueError(f"labelled.{task}: {task!r} is not one of the tasks {', '.join(self.tasks)}")
        self._help_fits()
        shown = self.comparison.multi_pack
        if shown is not None and shown not in self.packs:
            known = ", ".join(self.packs) or "(there are none); leave it empty"
            raise ValueError(f"comparison.multi_pack: {shown!r} is not one of the packs {known}")
        if self.packs and self.prototypes.task not in self.tasks:
            known = ", ".join(self.tasks)
            raise ValueError(f"prototypes.task: {self.prototypes.task!r} is not one of the tasks {known}")
        return self

    def _help_fits(self) -> None:
        packs = ", ".join(self.packs) or "(there are none)"
        for task, pack in self.helped_by.items():
            key, alone = f"helped_by.{task}", f"without this line {task} is trained alone, and in packs"
            if task not in self.tasks:
                raise ValueError(
                    f"{key}: {task!r} is not one of the tasks {', '.join(self.tasks)}; take the line out (a task that "
                    "helped_by does not name is trained alone, and in packs)"
                )
            if pack not in self.packs:
                raise ValueError(f"{key}: {pack!r} is not one of the packs {packs}; {alone}")
            if task in self.packs[pack]:
                raise ValueError(
                    f"{key}: the pack {pack!r} contains {task!r} itself, so it is not novel to it; {alone}"
                )
            if self.tasks[task].egopack is None:
                raise ValueError(f"tasks.{task}.egopack: this key is missing, and {key} needs it")


class _NoRepeats(yaml.SafeLoader):
    """YAML in which a key that stands twice in one mapping is an error, not a silent choice of the last.

    Keys that a merge (<<) brings are no repeats: the mapping's own win over them, and earlier mappings of a list win
    over later ones. As DVC, which reads the file too, this refuses << itself twice.
    """

    def get_single_node(self) -> yaml.Node | None:
        """The document, each of whose mappings is checked as it was written, before merges are put in."""
        root = super().get_single_node()
        if root is not None and _size(root, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"more than {MOST_VALUES} values, those that aliases repeat counted each time")
        todo, seen = [root], set()
        while todo:
            node = todo.pop()
            if id(node) in seen or not isinstance(node, yaml.CollectionNode):
                continue
            seen.add(id(node))  # an anchored node has several places
            if isinstance(node, yaml.MappingNode):
                self._check_keys(node)
                todo += [value for _, value in node.value]
            else:
                todo += node.value
        return root

    def _check_keys(self, node: yaml.MappingNode) -> None:
        known: set[Hashable] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                kind = "a mapping" if isinstance(key, yaml.MappingNode) else "a list"
                raise yaml.YAMLError(f"a key is {kind}; keys are plain words{key.start_mark}")
            merges = key.tag == MERGE
            value = key.value if merges or key.value == "=" else self.construct_object(key, deep=True)
            if (merges, value) in known:
                hint = "; merge several mappings as a list, <<: [*one, *two]" if merges else ""
                raise yaml.YAMLError(f"{key.value}: this key stands twice{hint}{key.start_mark}")
            known.add((merges, value))


def _size(node: yaml.Node, known: dict[int, int], depth: int = 0) -> int:
    """Values in a node, each as often as aliases repeat it."""
    if depth > MOST_DEPTH:
        raise yaml.YAMLError(f"more than {MOST_DEPTH} levels of blocks in blocks{node.start_mark}")
    if id(node) not in known:
        parts = node.value if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        known[id(node)] = MOST_VALUES  # of one that contains itself
        known[id(node)] = 1 + sum(_size(part, known, depth + 1) for part in parts)
    return known[id(node)]


def read_yaml(path: Path | str) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: the file is missing or is not YAML, or a key stands twice in a mapping.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UserError(f"{path}: larger than {MOST_BYTES} bytes; params are a few pages")
        return yaml.load(content.decode("utf-8-sig"), _NoRepeats)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid YAML: nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, AttributeError, KeyError) as error:
        # what is no YAML error: a date that does not exist, a number of thousands of digits, text for what is none
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())[:300]}") from None


def load_params(path: Path | str) -> Params:
    """Read and check params.yaml.

    Raises:
        UserError: the file is missing or is not YAML, or a key is unknown, missing or has a value that it cannot take.
    """
    value = read_yaml(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping of keys at the top level, got {type(value).__name__}")
    return check(Params, value, file=path)
