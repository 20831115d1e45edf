"""Validation errors of pydantic in our own words."""

import difflib
import types
import typing
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from fleet.scenario.scenario import Scenario
from fleet.scenario.yamlpos import Path, read_path


def submodel(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside an annotation such as ``tuple[HostClass, ...] | None``."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for part in typing.get_args(annotation):
        found = submodel(part)
        if found is not None:
            return found
    return None


def field_names(model: type[BaseModel]) -> dict[str, Any]:
    """Return the file's names of a model's fields with their annotations."""
    return {f.alias or name: f.annotation for name, f in model.model_fields.items()}


def model_at(path: Path, root: type[BaseModel] = Scenario) -> type[BaseModel] | None:
    """Return the model that describes the mapping at ``path``, None if it is free-form."""
    model: type[BaseModel] | None = root
    for part in path:
        if model is not None and isinstance(part, str):
            model = submodel(field_names(model).get(part))
    return model


def _unknown(path: Path, root: type[BaseModel]) -> str:
    """Reason for a field that does not exist, with the nearest one that does."""
    model = model_at(path[:-1], root)
    names = list(field_names(model)) if model else []
    close = difflib.get_close_matches(str(path[-1]), names, n=1)
    if close:
        return f"unknown field (did you mean '{close[0]}'?)"
    return f"unknown field (known: {', '.join(names)})" if names else "unknown field"


def reason_of(error: ErrorDetails, path: Path, root: type[BaseModel] = Scenario) -> str:
    """Say in one line what is wrong with the value at ``path`` of a file described by ``root``."""
    context = error.get("ctx", {})
    value = error.get("input")
    match error["type"]:
        case "fleet":
            return str(context["reason"])
        case "missing":
            return "required field is missing"
        case "extra_forbidden":
            return _unknown(path, root)
        case "literal_error":
            return f"must be {context['expected']}, got {value!r}"
        case "greater_than":
            return f"must be above {context['gt']}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, got {value!r}"
        case "less_than_equal":
            return f"must be at most {context['le']}, got {value!r}"
        case "too_short":
            least = context["min_length"]
            word = "entry" if least == 1 else "entries"
            return f"needs at least {least} {word}, got {context['actual_length']}"
        case "tuple_type":
            return f"needs a list, got {_short(value)}"
        case "model_type" | "dict_type":
            return f"needs a mapping of fields, got {_short(value)}"
    return str(error["msg"])


def _short(value: Any) -> str:
    """Show a value in a few characters."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def path_of(error: ErrorDetails) -> Path:
    """Return the path of the field that an error is about."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    relative = str(error.get("ctx", {}).get("field", "")) if error["type"] == "fleet" else ""
    if not relative:
        return path
    return path + tuple(read_path("x" + ("" if relative[0] == "[" else ".") + relative)[1:])
