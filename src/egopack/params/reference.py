"""What params.yaml can say, for people (a page) and for editors (a JSON schema), both made from the models' fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from egopack.params.checks import Strict
from egopack.params.load import Params
from egopack.params.tasks import AnyBlock, TaskBlock

Tasks = Mapping[str, type[TaskBlock]]  # name -> what checks its block
Schema = dict[str, Any]

GENERIC = "<task>"  # stands for the name of any other task
INTRO = """# Params

<!-- Written by `python -m stages.describe_params` from the models in this folder and in tasks/; edit those. -->

Everything that `params.yaml` can say, block by block. A key that is not here is refused, and so is a value out of
range. `params.yaml` has all of them with the values of the built-in corpus, `params.ego4d.yaml` with the paper's. To
change one: `dvc exp run -S backbone.hidden=128`. Editors that know JSON schemas read `params.schema.json` and explain
each key in place.

A name is at most 64 letters, digits, `_` and `-`, and begins with a letter or a digit. A task's is that of its module,
so it has no `-` and begins with a letter. A feature set's may have dots.
"""


def _described(model: type[Strict], key: str) -> str:
    """What a field means; a task that narrows the type of a field leaves the words to the class above."""
    above = [base for base in model.__mro__ if issubclass(base, Strict) and key in base.model_fields]
    return next((text for base in above if (text := base.model_fields[key].description)), "")


def _tidied(value: Any) -> Any:
    """Without titles, which repeat the keys; a mapping of names refuses all that are none."""
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {key: _tidied(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))}
    if "patternProperties" in tidy:
        ((pattern, named),) = tidy.pop("patternProperties").items()
        tidy |= {"propertyNames": {"pattern": pattern}, "additionalProperties": named}
    return tidy


def schema(tasks: Tasks) -> Schema:
    """The JSON schema (draft 7) of params.yaml. Blocks of `tasks` are checked in full, those of other tasks in what
    all tasks have.
    """
    models: dict[str, type[TaskBlock]] = dict(sorted(tasks.items())) | {GENERIC: AnyBlock}
    outer: list[type[Strict]] = [Params, *models.values()]
    references, found = models_json_schema([(model, "validation") for model in outer])
    definitions: Schema = _tidied(found["$defs"])
    for model in outer:
        properties = definitions[_name(references[model, "validation"])]["properties"]
        for key, field in properties.items():
            field["description"] = _described(model, key)
    root = definitions.pop("Params")
    blocks = {name: references[model, "validation"] for name, model in models.items()}
    root["properties"]["tasks"] |= {"additionalProperties": blocks.pop(GENERIC), "properties": blocks}
    return {"$schema": "http://json-schema.org/draft-07/schema#"} | root | {"$defs": definitions}


def _name(reference: Mapping[str, str]) -> str:
    return reference["$ref"].rsplit("/", 1)[1]


def _blocks(whole: Schema, block: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """(path, schema) of every block, the outer ones first."""
    yield path, block
    for key, field in block.get("properties", {}).items():
        inner = f"{path}.{key}" if path else key
        field = next((choice for choice in field.get("anyOf", ()) if "$ref" in choice), field)  # a block, or nothing
        if "$ref" in field:
            yield from _blocks(whole, whole["$defs"][_name(field)], inner)
        elif "$ref" in field.get("additionalProperties", {}) and "properties" not in field:
            yield from _blocks(whole, whole["$defs"][_name(field["additionalProperties"])], f"{inner}.<name>")
        elif "properties" in field:
            for name, reference in field["properties"].items():
                yield from _blocks(whole, whole["$defs"][_name(reference)], f"{inner}.{name}")


def _kind(field: Schema) -> str:
    """The type and range of a field in words."""
    if "anyOf" in field:
        return " or ".join(_kind(choice) for choice in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    kind = field.get("type")
    if "$ref" in field:
        return "block"
    if kind == "array":
        return f"list of {_kind(field['items'])}"
    if kind == "object":
        return f"names, each with a {_kind(field['additionalProperties'])}"
    words = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text", "null": "nothing"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    shown = [f"{sign} {_number(field[key])}" for key, sign in bounds.items() if key in field]
    shown += [f"multiple of {field['multipleOf']}"] if "multipleOf" in field else []
    return f"{words[str(kind)]} {', '.join(shown)}".rstrip()


def _number(value: float) -> str:
    return "2^63" if value == 2**63 else f"{value:,}" if 1000 <= value < 1e9 and value == int(value) else f"{value:g}"


def _row(key: str, field: Schema, required: bool) -> str:
    if "default" in field and "$ref" not in field:
        default = field["default"]
        shown = f"`{default if isinstance(default, str) else json.dumps(default)}`"
    else:
        shown = "required" if required else "its own"
    meaning = field.get("description", "").replace("|", r"\|").replace("<", "&lt;")
    return f"| `{key}` | {_kind(field)} | {shown} | {meaning} |"


def _table(block: Schema) -> str:
    rows = [_row(key, field, key in block.get("required", ())) for key, field in block.get("properties", {}).items()]
    if not rows:
        return ""
    return "\n".join(["", "| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def _together(paths: list[str], tasks: Tasks) -> list[str]:
    """The paths, those that every task has as one: tasks.<name>."""
    shared: dict[str, list[str]] = {}
    for path in paths:
        parts = path.split(".")
        shared.setdefault(".".join(["tasks", "<name>", *parts[2:]]) if parts[0] == "tasks" else path, []).append(path)
    return [path for common, own in shared.items() for path in ([common] if len(own) == len(tasks) else own)]


def page(tasks: Tasks) -> str:
    """The reference in Markdown: a table for each block; blocks that are alike share one."""
    whole = schema(tasks)
    sections: dict[tuple[str, str], list[str]] = {}
    for path, block in _blocks(whole, whole):
        sections.setdefault((block["description"], _table(block)), []).append(path)
    parts = [INTRO]
    for (description, table), paths in sections.items():
        title = ", ".join(f"`{path}`" for path in _together(paths, tasks)) if paths != [""] else "The top"
        parts.append(f"## {title}\n\n{' '.join(description.split())}\n{table}")
    return "\n".join(parts)
