"""Writes docs/scenario.md: ``python -m fleet.cli.scenario_reference docs/scenario.md``."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fleet.inputs import inventory, trace
from fleet.inputs.numbers import Spec
from fleet.scenario.problems import submodel
from fleet.scenario.scenario import Scenario

_GENERATED = "<!-- written by `python -m fleet.cli.scenario_reference docs/scenario.md` -->"

_INTRO = """\
A scenario is a YAML file. Quantities carry their unit: sizes `KiB MiB GiB TiB` (whole 4 KiB pages),
durations `ns us ms s m min h d`, shares `%` up to 100, rates a count per time such as `120/h`.
`on` and `yes` are text, only `true` and `false` are truth values. Unknown fields, duplicate keys,
anchors, aliases and tags are errors. `--set path=value` lays a value over a field
(`--set hosts.total=64`, `--set hosts.classes[0].memory=32GiB`, `--set removals=null`).

`inventory` and `trace` at the top level are short for `hosts.inventory` and `workloads.trace`."""

_INVENTORY = "An inventory is a CSV file with a header line, or a Parquet file; one row per host."
_TRACE = "A trace is a CSV file with a header line, or a Parquet file; one row per arrival."
_IGNORED = "Other columns are ignored."


def scenario_markdown() -> str:
    """Return the reference of all scenario fields and input columns."""
    parts = ["# Scenario files", _GENERATED, _INTRO, *_models()]
    parts += ["## Inventories", f"{_INVENTORY} {_IGNORED}", _columns(inventory.COLUMNS)]
    parts += ["## Traces", f"{_TRACE} {_IGNORED}", _columns(trace.COLUMNS)]
    return "\n\n".join(parts) + "\n"


def _models() -> Iterator[str]:
    """Yield heading, docstring and table of each model, outermost first."""
    queue: list[tuple[str, type[BaseModel]]] = [("", Scenario)]
    while queue:
        path, model = queue.pop(0)
        yield f"## `{path}`" if path else "## Top level"
        yield (model.__doc__ or "").strip()
        rows = ["| field | value | default | meaning |", "| --- | --- | --- | --- |"]
        for name, spec in model.model_fields.items():
            shown = spec.alias or name
            inner = submodel(spec.annotation)
            many = "tuple" in str(spec.annotation)
            if inner is not None:
                step = f"{path}.{shown}" if path else shown
                queue.append((step + ("[]" if many else ""), inner))
            kind = (
                "list of fields" if inner and many else "fields" if inner else _kind(model, shown)
            )
            default = _default(model, name, spec)
            rows.append(f"| `{shown}` | {kind} | {default} | {spec.description} |")
        yield "\n".join(rows)


def _kind(model: type[BaseModel], name: str) -> str:
    """Name the kind of value by the JSON schema of the field."""
    schema = model.model_json_schema(by_alias=True)["properties"][name]
    return _schema_kind(schema)


def _schema_kind(schema: dict[str, Any]) -> str:
    """Name the kind of value of a JSON schema."""
    if "anyOf" in schema:
        return _schema_kind(schema["anyOf"][0])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "examples" in schema:
        return f"such as `{schema['examples'][0]}`"
    if schema.get("type") == "array":
        return f"list, each {_schema_kind(schema['items'])}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties", {})
        return f"name: {_schema_kind(inner)}"
    words = {"integer": "whole number", "string": "text", "boolean": "`true`, `false`"}
    return words[schema["type"]]


def _default(model: type[BaseModel], name: str, spec: Any) -> str:
    """Write the default as a file would."""
    if spec.is_required():
        return "required"
    if spec.default is None or (spec.default is PydanticUndefined and submodel(spec.annotation)):
        return ""
    value = spec.get_default(call_default_factory=True)
    shown = model.model_construct(**{name: value}).model_dump(
        mode="json", by_alias=True, include={name}
    )[spec.alias or name]
    if isinstance(shown, list | dict):
        return f"`[{', '.join(shown)}]`" if shown else "empty"
    return f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"


def _columns(specs: Sequence[Spec]) -> str:
    """Return the table of an input file's columns."""
    rows = ["| column | unit | needed | meaning |", "| --- | --- | --- | --- |"]
    for spec in specs:
        needed = ("yes, may be empty" if spec.nullable else "yes") if spec.required else "no"
        rows.append(f"| `{spec.name}` | {spec.unit} | {needed} | {spec.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(scenario_markdown(), encoding="utf-8")
