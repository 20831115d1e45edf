"""Own policies: named cells of the decision table, in a scenario or in a file.

A value is written as ``fleet policy explain`` shows it: ``yes`` and ``no`` (or true and false), the
name of a choice, a whole number, a duration where the cell counts nanoseconds.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from engine.enums import Cell
from fleet.scenario.rules import plain_int, plain_text
from fleet.scenario.units import fail, parse_duration
from policies import registry
from policies.cells import CELL_DOCS
from policies.models import OfflinePolicy, PinPolicy, Policy, PolicyError, Setting

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_OFFLINE = "OFFLINE_"
_NS = "_NS"
_FLAGS = {"yes": 1, "no": 0, "true": 1, "false": 0}
_BASES = {"pin": "kernel", "offline": "unbounded"}


def _read_value(cell: Cell, raw: object) -> int:
    """Return what the engine reads for a cell as it is written."""
    doc = CELL_DOCS[cell]
    flag = doc.names is None and (doc.low, doc.high) == (0, 1)
    if flag and isinstance(raw, bool):
        return int(raw)
    if flag and isinstance(raw, str) and raw.lower() in _FLAGS:
        return _FLAGS[raw.lower()]
    if doc.names is not None and isinstance(raw, str):
        choices = {value.name.lower().replace("_", "-"): int(value) for value in doc.names}
        name = raw.strip().lower().replace("_", "-")
        if name not in choices:
            raise fail(f"must be one of {', '.join(choices)}, got {raw!r}")
        return choices[name]
    if cell.name.endswith(_NS) and isinstance(raw, str):
        return parse_duration(raw)
    return plain_int(raw)


def _read_cell(cell: Cell, raw: object) -> dict[str, Any]:
    """Return value and source of a cell: written as a mapping, or the value alone."""
    source = ""
    if isinstance(raw, Mapping):
        unknown = [key for key in raw if key not in ("value", "source")]
        if unknown or "value" not in raw:
            raise fail("needs `value` and may have `source`", str(unknown[0]) if unknown else "")
        source = plain_text(raw["source"]) if raw.get("source") is not None else ""
        raw = raw["value"]
    value, doc = _read_value(cell, raw), CELL_DOCS[cell]
    if not doc.low <= value <= doc.high:
        raise fail(f"must be within {doc.low}..{doc.high}, got {value}")
    return {"value": value, "source": source}


def _read_cells(raw: object) -> object:
    """Return the cells of a policy by name; the error names the cell."""
    if not isinstance(raw, Mapping):
        return raw
    cells = {}
    for name, value in raw.items():
        if name not in Cell.__members__:
            close = get_close_matches(str(name).upper(), list(Cell.__members__), n=1)
            hint = f"did you mean {close[0]}?" if close else "fleet policy explain lists them"
            raise fail(f"no such cell; {hint}", str(name))
        try:
            cells[name] = _read_cell(Cell[name], value)
        except Exception as error:
            context = getattr(error, "context", None)
            if context is None:
                raise
            below = context.get("field", "")
            raise fail(context["reason"], f"{name}.{below}" if below else name) from None
    return cells


def _write_cells(cells: Mapping[str, "OwnCell"]) -> dict[str, Any]:
    """Write cells so that they are read as what they are."""
    out = {}
    for name, cell in cells.items():
        doc = CELL_DOCS[Cell[name]]
        shown: Any = doc.show(cell.value) if doc.names is not None else cell.value
        out[name] = {"value": shown, "source": cell.source} if cell.source else {"value": shown}
    return out


class OwnCell(BaseModel):
    """One cell a policy sets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int = Field(description="The value.")
    source: str = Field("", description="Where it comes from.")


class OwnPolicy(BaseModel):
    """A policy that is not shipped: it sets cells on top of a shipped policy or of the profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, BeforeValidator(plain_text)] = Field(
        description="What arms call it: lower-case letters, digits, `.`, `-`, `_`."
    )
    kind: Literal["pin", "offline"] = Field(description="Which part of an arm it is.")
    summary: Annotated[str, BeforeValidator(plain_text)] = Field(
        description="What it does, in one line."
    )
    extends: Annotated[str, BeforeValidator(plain_text)] | None = Field(
        None, description="Shipped policy it starts from; default `kernel` or `unbounded`."
    )
    cells: Annotated[
        dict[str, OwnCell], BeforeValidator(_read_cells), PlainSerializer(_write_cells)
    ] = Field(description="Cells by name, each a value, or `value` and `source`.")  # fmt: skip

    @model_validator(mode="after")
    def _check(self) -> "OwnPolicy":
        """The name is free, the base exists, the cells belong to this kind."""
        if not _NAME.fullmatch(self.name) or "-loses-" in self.name:
            reason = f"not a policy's name: {self.name!r} (lower case, digits, '.', '-', '_')"
            raise fail(reason, "name")
        if registry.is_shipped(self.name):
            raise fail(f"'{self.name}' is a shipped policy's name", "name")
        if not self.cells:
            raise fail("sets no cell", "cells")
        for name in self.cells:
            if name.startswith(_OFFLINE) != (self.kind == "offline"):
                other = "an offline" if name.startswith(_OFFLINE) else "a pin"
                raise fail(f"belongs to {other} policy", f"cells.{name}")
        try:
            self.policy()
        except PolicyError as error:
            raise fail(str(error), "extends") from None
        return self

    def policy(self) -> Policy:
        """Return the policy; PolicyError if its base does not exist."""
        base_name = self.extends or _BASES[self.kind]
        settings = {
            Cell[name]: Setting(cell.value, cell.source or f"own policy {self.name}")
            for name, cell in self.cells.items()
        }
        if self.kind == "pin":
            pin = registry.pin_policy(base_name)
            return PinPolicy(self.name, self.summary, {**pin.settings, **settings})
        offline = registry.offline_policy(base_name)
        return OfflinePolicy(self.name, self.summary, {**offline.settings, **settings})


def policies_of(own: Iterable[OwnPolicy]) -> tuple[Policy, ...]:
    """Return the policies of models."""
    return tuple(item.policy() for item in own)
