"""What every block of params shares: it is frozen, misspelt keys are refused, errors name file, key and value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from egopack.errors import UserError

Block = TypeVar("Block", bound=BaseModel)
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Strict(BaseModel):
    """A block of params.yaml: immutable, every key must be known, and true is not 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("not a setting that is true or false")
        return value


def check(model: type[Block], value: Any, *, file: Path | str, key: str = "") -> Block:
    """`value` as `model`; a UserError names the file, the first wrong key and its value."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join([*([key] if key else []), *map(str, first["loc"])])
        if first["type"] == "extra_forbidden":
            raise UserError(f"{file}: {path}: unknown key; is it misspelt?") from None
        if first["type"] == "missing":
            raise UserError(f"{file}: {path}: this key is missing") from None
        message = first["msg"].removeprefix("Value error, ")
        got = "" if isinstance(first["input"], dict) else f" (got {first['input']!r})"
        raise UserError(f"{file}: {path + ': ' if path else ''}{message}{got}") from None
