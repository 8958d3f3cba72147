"""The whole of params.yaml and its only reader."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, model_validator

from egopack.errors import UserError
from egopack.params.checks import Seed, Strict, check
from egopack.params.data import DataParams, SyntheticParams
from egopack.params.model import BackboneParams, InteractionParams
from egopack.params.tasks import ComparisonParams
from egopack.params.training import MultiParams, RuntimeParams


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
