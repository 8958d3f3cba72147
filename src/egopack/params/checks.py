"""What every block of params shares: it is frozen, misspelt keys are refused, errors name file, key and value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import CoreSchema, core_schema

from egopack.errors import UserError, shown


@dataclass(frozen=True)
class Spelled:
    """Text that `pattern` matches from its first to its last letter; `otherwise` says in words what was expected."""

    pattern: str
    otherwise: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"pattern": f"^({self.pattern})$"}

    def checked(self, value: str) -> str:
        """The text itself.

        Raises:
            ValueError: the pattern does not match.
        """
        if not re.fullmatch(self.pattern, value):
            raise ValueError(self.otherwise)
        return value


Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e38)]  # what float32 holds
NonNegative = Annotated[float, Field(ge=0, le=1e38)]
Seconds = Annotated[float, Field(ge=1e-3, le=1e5)]  # a day is less
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrZero = Annotated[int, Field(ge=0, le=1_000_000)]
# What is built before it is used, so that more would exhaust memory or time: numbers side by side, layers, levels.
Width = Annotated[int, Field(ge=1, le=16_384)]
Depth = Annotated[int, Field(ge=1, le=64)]
Levels = Annotated[int, Field(ge=1, le=24)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

# Names of packs, tasks and sources of annotations stand in dvc.yaml's commands, paths and names of stages.
NAME = Spelled(
    "[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
    "not a name: at most 64 letters, digits, _ and -, of which the first is a letter or a digit",
)
Name = Annotated[str, NAME]
TaskName = Annotated[
    str,
    Spelled(
        "[A-Za-z][A-Za-z0-9_]{0,63}",
        "not the name of a task, which is that of its module too: at most 64 letters, digits and _, the first a letter",
    ),
]
# No command or path of dvc.yaml has the name of a feature set, and folders of features often carry a version.
FolderName = Annotated[
    str,
    Spelled(
        "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
        "not the name of a folder of features: at most 64 letters, digits and _.-, of which the first is a letter "
        "or a digit",
    ),
]


class Strict(BaseModel):
    """A block of params.yaml: immutable, every key must be known, and true is not 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("not a setting that is true or false")
        return value


Block = TypeVar("Block", bound=BaseModel)


def check(model: type[Block], value: Any, *, file: Path | str, key: str = "") -> Block:
    """`value` as `model`; a UserError names the file, the first wrong key and its value."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        misnamed = first["loc"][-1:] == ("[key]",)  # a name is wrong, not what it names
        place = first["loc"][:-2] if misnamed else first["loc"]
        path = ".".join([*([key] if key else []), *(shown(str(one), 80).strip("'") for one in place)])
        if first["type"] == "extra_forbidden":
            raise UserError(f"{file}: {path}: unknown key; is it misspelt?") from None
        if first["type"] == "missing":
            raise UserError(f"{file}: {path}: this key is missing") from None
        message = first["msg"].removeprefix("Value error, ")
        got = "" if isinstance(first["input"], dict) else f" (got {shown(first['input'])})"
        raise UserError(f"{file}: {path + ': ' if path else ''}{message}{got}") from None
